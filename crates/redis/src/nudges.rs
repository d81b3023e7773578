use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Client, RedisError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::RedisUrl;
use crate::pause::Pauses;

/// Tells whoever listens to a channel that there is news. Cheap to clone.
#[derive(Clone)]
pub struct Nudges(Arc<Notify>);

impl Nudges {
    /// Starts to send on `channel`, until `stop`. Redis need not be there yet.
    pub fn start(redis: &RedisUrl, channel: &'static str, stop: CancellationToken) -> Self {
        let due = Arc::new(Notify::new());
        let (client, wanted) = (redis.client().clone(), Arc::clone(&due));
        tokio::spawn(async move { stop.run_until_cancelled(send_all(client, channel, &wanted)).await });
        Self(due)
    }

    /// Sends a nudge, soon. It waits for nothing, and cannot fail: one that Redis does not take is sent once it does.
    pub fn send(&self) {
        self.0.notify_one();
    }
}

async fn send_all(client: Client, channel: &'static str, due: &Notify) {
    let mut connection = None;
    loop {
        due.notified().await;
        let mut pauses = Pauses::default();
        let mut failed = false;
        while let Err(fault) = send(&client, &mut connection, channel).await {
            if !failed {
                tracing::warn!(error = %fault, redis.channel = channel, "redis took no nudge: trying again");
            }
            (failed, connection) = (true, None);
            pauses.wait().await;
        }
        if failed {
            tracing::info!(redis.channel = channel, "redis takes nudges again");
        }
    }
}

async fn send(
    client: &Client,
    kept: &mut Option<MultiplexedConnection>,
    channel: &str,
) -> Result<(), RedisError> {
    // The client bounds the time of a connection and of an answer by itself: a second, and half a second.
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(client.get_multiplexed_async_connection().await?),
    };
    connection.publish(channel, "").await
}
