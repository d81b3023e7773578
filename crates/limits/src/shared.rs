use slipway_redis::{Commands, RedisFault, RedisUrl};

use crate::Quota;
use crate::window::Standing;

const COUNT: &str = include_str!("count.lua");

/// The counters that replicas share.
pub(crate) struct Shared(Commands);

impl Shared {
    pub(crate) fn new(redis: &RedisUrl) -> Self {
        Self(Commands::new(redis))
    }

    /// Counts, where all have room; returns whether, and where each stands then.
    pub(crate) async fn count(
        &self,
        wanted: &[(String, Quota)],
    ) -> Result<(bool, Vec<Standing>), RedisFault> {
        let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let numbers: Vec<u64> =
            wanted.iter().flat_map(|(_, quota)| [u64::from(quota.limit), quota.window_ms()]).collect();
        let answer: Vec<u64> = self.0.run(COUNT, &names, &numbers).await?;
        let (admitted, standings) = answer.split_first().ok_or(RedisFault::Unexpected)?;
        let standings: Vec<_> = standings.as_chunks::<2>().0.iter().map(standing).collect();
        if standings.len() == wanted.len() {
            Ok((*admitted == 1, standings))
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
