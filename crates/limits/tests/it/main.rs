//! Limits that two replicas share through a real Redis server, which comes and goes.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

use slipway_limits::{Limiter, Quota};
use slipway_telemetry::Metrics;
use slipway_testkit::TestRedis;

/// No test takes an hour, so what is counted stays.
const THREE: Quota = Quota::new(3, 3_600);
const MANY: Quota = Quota::new(1_000, 3_600);

fn replica(redis: Option<&TestRedis>) -> (Limiter, Metrics) {
    let metrics = Metrics::new("test").unwrap();
    let url = redis.map(|redis| redis.url().parse().unwrap());
    (Limiter::new(url.as_ref(), &metrics).unwrap(), metrics)
}

async fn count(limiter: &Limiter, name: &str, quota: Quota) -> (bool, u32) {
    let verdict = limiter.count(&[(name.to_owned(), quota)]).await;
    assert_eq!(verdict.wait.is_zero(), verdict.remaining > 0);
    (verdict.is_admitted, verdict.remaining)
}

#[tokio::test]
async fn replicas_count_together_and_each_alone_while_redis_is_away() {
    let mut redis = TestRedis::start_new();
    let ((one, metrics), (two, _)) = (replica(Some(&redis)), replica(Some(&redis)));
    assert_eq!(count(&one, "a", THREE).await, (true, 2));
    assert_eq!(count(&two, "a", THREE).await, (true, 1));
    assert_eq!(count(&one, "a", THREE).await, (true, 0));
    assert_eq!(count(&two, "a", THREE).await, (false, 0));
    assert_eq!(count(&two, "b", THREE).await, (true, 2), "another counter");
    two.forget(&"a".to_owned()).await;
    assert_eq!(count(&one, "a", THREE).await, (true, 2));

    redis.stop();
    for (left, admitted) in [(2, true), (1, true), (0, true), (0, false)] {
        assert_eq!(count(&one, "a", THREE).await, (admitted, left), "in memory");
    }
    let text = metrics.render().unwrap();
    let series = r#"limits_counted_total{outcome="refused",store="memory",service="test"} 1"#;
    assert!(text.contains(series), "{text}");

    redis.start();
    // A connection that broke is found out by its next use.
    let mut is_shared = false;
    for _ in 0..100 {
        let before = redis.calls("eval");
        count(&one, "c", MANY).await;
        is_shared = redis.calls("eval") > before;
        if is_shared {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(is_shared, "it is asked again");
}

#[tokio::test]
async fn of_several_quotas_all_are_counted_or_none() {
    let redis = TestRedis::start_new();
    for (limiter, _metrics) in [replica(Some(&redis)), replica(None)] {
        let both = [("tight".to_owned(), THREE), ("wide".to_owned(), MANY)];
        for left in [2, 1, 0] {
            let verdict = limiter.count(&both).await;
            assert_eq!((verdict.is_admitted, verdict.tightest, verdict.remaining), (true, 0, left));
        }
        for _ in 0..5 {
            let verdict = limiter.count(&both).await;
            assert!(!verdict.is_admitted && verdict.tightest == 0 && !verdict.wait.is_zero());
        }
        assert_eq!(count(&limiter, "wide", MANY).await, (true, 1_000 - 4), "what is refused is not counted");
    }
}

#[tokio::test]
async fn of_many_at_once_as_many_as_the_limit_says_are_let_in() {
    let redis = TestRedis::start_new();
    for (limiter, _metrics) in [replica(Some(&redis)), replica(None)] {
        let tries: Vec<_> = (0..50)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { count(&limiter, "a", THREE).await.0 })
            })
            .collect();
        let mut admitted = 0;
        for tried in tries {
            admitted += usize::from(tried.await.unwrap());
        }
        assert_eq!(admitted, 3);
    }
}
