//! Nudges through a real Redis server, which comes and goes.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

use std::time::Duration;

use slipway_config::{Reader, Settings};
use slipway_redis::{Commands, Listener, Nudges, RedisUrl};
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

/// Reads the settings as a service does.
fn read(url: &str, ca_file: &str) -> RedisUrl {
    let settings = Settings::from_pairs([("REDIS_URL", url), ("REDIS_CA_FILE", ca_file)]);
    let mut reader = Reader::new(&settings);
    let url = RedisUrl::read(&mut reader);
    assert_eq!(reader.finish(), Ok(()));
    url.unwrap()
}

#[tokio::test]
async fn over_tls_nudges_are_heard_and_scripts_answered() {
    let redis = TestRedis::start_with_tls();
    let url = read(&format!("rediss://127.0.0.1:{}", redis.tls_port()), &redis.ca_file());
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let listener = Listener::start(&url, CHANNEL, stop.clone());
    nudged(&listener).await;
    assert_eq!(redis.listeners(CHANNEL), 1, "the first nudge says that it listens");

    Nudges::start(&url, CHANNEL, stop.clone()).send();
    nudged(&listener).await;
    let answer = Commands::new(&url).run("return {ARGV[1] + 1}", &["key"], &[41]).await;
    assert_eq!(answer.unwrap(), [42]);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_for_another_host_is_refused_and_the_fault_is_named() {
    let [redis, other] = [(); 2].map(|()| TestRedis::start_with_tls());
    let port = redis.tls_port();
    let url = format!("rediss://127.0.0.1:{port}");
    let unknown = "invalid peer certificate: UnknownIssuer";
    for (url, fault) in [
        (url.parse().unwrap(), unknown),
        (read(&url, &other.ca_file()), unknown),
        (
            read(&format!("rediss://localhost:{port}"), &redis.ca_file()),
            "certificate not valid for name \"localhost\"",
        ),
    ] {
        let refused = Commands::new(&url).run("return {1}", &[], &[]).await.unwrap_err();
        assert!(refused.to_string().contains(fault), "{refused}");
    }
    assert_eq!(redis.calls("eval"), 0);
}
