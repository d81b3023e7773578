use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Client, RedisError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::RedisUrl;

/// Whoever asks has a request that waits.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long nobody tries to connect after it failed: meanwhile each is told so at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs commands that are answered, over one connection for all.
pub struct Commands {
    client: Client,
    connection: Mutex<Connection>,
}

#[derive(Default)]
struct Connection {
    open: Option<MultiplexedConnection>,
    failed_at: Option<Instant>,
}

/// Says why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RedisFault {
    /// Redis refused, or cannot be reached.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// It did not answer in time.
    #[error("redis did not answer within {ANSWER_WITHIN:?}")]
    Late,
    /// It could not be reached a moment ago.
    #[error("redis could not be reached a moment ago")]
    Away,
    /// It answered something else than was asked for.
    #[error("redis answered something else than was asked for")]
    Unexpected,
}

impl Commands {
    /// Makes what runs them. Redis need not be there yet.
    pub fn new(redis: &RedisUrl) -> Self {
        Self { client: redis.client().clone(), connection: Mutex::default() }
    }

    /// Runs a Lua script, as one step, on keys and numbers; it answers with numbers.
    pub async fn run(&self, script: &str, keys: &[&str], numbers: &[u64]) -> Result<Vec<u64>, RedisFault> {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(keys.len()).arg(keys).arg(numbers);
        self.ask(async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Deletes a key.
    pub async fn delete(&self, key: &str) -> Result<(), RedisFault> {
        self.ask(async |mut connection| connection.del(key).await).await
    }

    async fn ask<T>(
        &self,
        command: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, RedisFault> {
        let connection = timeout(ANSWER_WITHIN, self.connect()).await.map_err(|_| RedisFault::Late)??;
        let answer = match timeout(ANSWER_WITHIN, command(connection)).await {
            Ok(answer) => answer.map_err(RedisFault::from),
            Err(_) => Err(RedisFault::Late),
        };
        if answer.is_err() {
            // The next one connects anew: this connection may be gone without a word.
            self.connection.lock().await.open = None;
        }
        answer
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisFault> {
        let mut kept = self.connection.lock().await;
        if let Some(open) = &kept.open {
            return Ok(open.clone());
        }
        if kept.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(RedisFault::Away);
        }
        // Noted first: whoever gives up waiting leaves it noted.
        kept.failed_at = Some(Instant::now());
        let open = self.client.get_multiplexed_async_connection().await?;
        *kept = Connection { open: Some(open.clone()), failed_at: None };
        Ok(open)
    }
}
