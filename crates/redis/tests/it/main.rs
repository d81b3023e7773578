//! Nudges through a real Redis server, which comes and goes.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

use std::time::Duration;

use slipway_redis::{Listener, Nudges, RedisUrl};
use slipway_testkit::TestRedis;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far above what anything here takes.
const BOUND: Duration = Duration::from_secs(30);
const CHANNEL: &str = "slipway:test";

async fn nudged(listener: &Listener) {
    timeout(BOUND, listener.nudged()).await.unwrap();
}

#[tokio::test]
async fn a_nudge_wakes_every_listener_and_one_that_was_cut_off_is_woken_when_it_hears_again() {
    let mut redis = TestRedis::start_new();
    let url: RedisUrl = redis.url().parse().unwrap();
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let listeners = [(); 2].map(|()| Listener::start(&url, CHANNEL, stop.clone()));
    let nudges = Nudges::start(&url, CHANNEL, stop.clone());
    for listener in &listeners {
        nudged(listener).await;
    }
    assert_eq!(redis.listeners(CHANNEL), 2, "the first nudge says that it listens");

    nudges.send();
    for listener in &listeners {
        nudged(listener).await;
    }

    redis.stop();
    nudges.send();
    redis.start();
    for listener in &listeners {
        nudged(listener).await;
    }
    nudges.send();
    for listener in &listeners {
        nudged(listener).await;
    }
}

#[tokio::test]
async fn a_nudge_that_redis_did_not_take_is_sent_when_it_is_there() {
    let mut redis = TestRedis::start_new();
    let url: RedisUrl = redis.url().parse().unwrap();
    redis.stop();
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let nudges = Nudges::start(&url, CHANNEL, stop.clone());
    nudges.send();
    redis.start();
    let taken = async {
        while redis.calls("publish") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND, taken).await.unwrap();
}
