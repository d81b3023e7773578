use std::borrow::Cow;

use slipway_redis::{Commands, RedisFault, RedisUrl};

use crate::window::Standing;
use crate::{Counter, Quota, Verdict};

const COUNT: &str = include_str!("count.lua");

/// The counters that replicas share.
pub(crate) struct Shared(Commands);

impl Shared {
    pub(crate) fn new(redis: &RedisUrl) -> Self {
        Self(Commands::new(redis))
    }

    /// Counts, where all have room.
    pub(crate) async fn count(&self, wanted: &[(impl Counter, Quota)]) -> Result<Verdict, RedisFault> {
        let names: Vec<Cow<'_, str>> = wanted.iter().map(|(counter, _)| counter.name()).collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let numbers: Vec<u64> =
            wanted.iter().flat_map(|(_, quota)| [u64::from(quota.limit), quota.window_ms()]).collect();
        let answer = self.0.run(COUNT, &names, &numbers).await?;
        let (admitted, standings) = answer.split_first().ok_or(RedisFault::Unexpected)?;
        let standings = standings.as_chunks::<2>().0;
        if standings.len() == wanted.len() {
            Ok(Verdict::of(*admitted == 1, standings.iter().map(standing)))
        } else {
            Err(RedisFault::Unexpected)
        }
    }

    pub(crate) async fn forget(&self, name: &str) -> Result<(), RedisFault> {
        self.0.delete(name).await
    }
}

fn standing(&[remaining, wait_ms]: &[u64; 2]) -> Standing {
    Standing { remaining: u32::try_from(remaining).unwrap_or(u32::MAX), wait_ms }
}
