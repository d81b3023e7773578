use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{Client, RedisError};
use tokio::sync::Notify;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::RedisUrl;
use crate::pause::Pauses;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A connection whose other end is gone without a word is found out by this.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Hears the nudges of a channel. Cheap to clone; a nudge wakes one of the clones.
#[derive(Clone, Default)]
pub struct Listener(Arc<Notify>);

impl Listener {
    /// Starts to listen to `channel`, until `stop`. Redis need not be there yet.
    pub fn start(redis: &RedisUrl, channel: &'static str, stop: CancellationToken) -> Self {
        let listener = Self::default();
        let (client, heard) = (redis.client().clone(), Arc::clone(&listener.0));
        tokio::spawn(async move { stop.run_until_cancelled(listen(client, channel, &heard)).await });
        listener
    }

    /// Makes a listener that hears nothing, where there is no Redis.
    pub fn deaf() -> Self {
        Self::default()
    }

    /// Waits for a nudge. Those that came since the last time are one.
    pub async fn nudged(&self) {
        self.0.notified().await;
    }
}

async fn listen(client: Client, channel: &'static str, heard: &Notify) {
    let mut pauses = Pauses::default();
    let mut failed = false;
    loop {
        let fault = hear(&client, channel, heard, &mut || {
            if failed {
                tracing::info!(redis.channel = channel, "redis is heard again");
            }
            (failed, pauses) = (false, Pauses::default());
        })
        .await;
        if !failed {
            tracing::warn!(error = %fault, redis.channel = channel, "redis is not heard: trying again");
        }
        failed = true;
        pauses.wait().await;
    }
}

/// Passes nudges on until the connection breaks; returns why.
async fn hear(client: &Client, channel: &str, heard: &Notify, subscribed: &mut impl FnMut()) -> RedisError {
    let connected = async {
        let mut connection = client.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        Ok::<_, RedisError>(connection)
    };
    let connection = match timeout(ANSWER_WITHIN, connected).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(fault)) => return fault,
        Err(_) => return late(),
    };
    subscribed();
    // Nobody knows what was missed.
    heard.notify_one();
    let (mut sink, messages) = connection.split();
    let mut messages = pin!(messages);
    let mut ping = interval(PING_EVERY);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(_) => heard.notify_one(),
                None => return io::Error::from(io::ErrorKind::UnexpectedEof).into(),
            },
            _ = ping.tick() => match timeout(ANSWER_WITHIN, sink.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => return fault,
                Err(_) => return late(),
            },
        }
    }
}

fn late() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
