use reqwest::Method;
use serde_json::{Value, json};

use crate::followed::Followed;
use crate::harness::{TestRunner, problem};

const FAILS_ON_DEMAND: &str = "\
def handle(request, context):
    if request['body']: raise ValueError('no such thing')
    return sum(range(1_000_000))
";

#[tokio::test]
async fn statistics_sum_up_what_happened() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let deployed = runner.deploy("hello", &[("main.py", FAILS_ON_DEMAND)], &ada).await;
    let path = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());
    for (fails, status) in [(false, 200), (true, 502), (false, 200)] {
        let call = runner.request(Method::POST, &format!("{path}/invoke"), &ada);
        assert_eq!(call.json(&json!({ "body": fails })).send().await.unwrap().status(), status);
    }

    for (period, bucket_ms, buckets) in
        [("1h", 60_000, 60), ("24h", 900_000, 96), ("7d", 7_200_000, 84), ("30d", 21_600_000, 120)]
    {
        let stats = runner.read(&format!("{path}/stats?period={period}"), &ada).await;
        assert_eq!((&stats["period"], &stats["bucket_ms"]), (&json!(period), &json!(bucket_ms)));
        assert_eq!(stats["buckets"].as_array().unwrap().len(), buckets);
        let totals = &stats["totals"];
        assert_eq!((&totals["calls"], &totals["errors"]), (&json!(3), &json!(1)));
        assert_eq!(totals["errors_by_kind"], json!({ "ValueError": 1 }));
        assert_eq!(totals["cold_starts"], 0, "the check left an instance");
        for figure in ["p50_ms", "p95_ms", "p99_ms", "queue_p95_ms", "peak_memory_bytes", "peak_cpu_ms"] {
            assert!(totals[figure].as_f64().unwrap() > 0.0, "{figure}: {totals:#}");
        }
    }
    let by_default: Value = runner.read(&format!("{path}/stats"), &ada).await;
    assert_eq!(by_default["period"], "24h");
    let refused = runner.get(&format!("{path}/stats?period=1y"), &ada).await;
    let (status, _, detail) = problem(refused).await;
    assert!(status == 400 && detail.contains("1h"), "{status} {detail}");
    assert_eq!(runner.get(&format!("{path}/stats"), &runner.person()).await.status(), 404);
}

const TALKS: &str = "\
import time
def handle(request, context):
    for line in range(request['body']):
        print('line', line)
        time.sleep(0.05)
";

#[tokio::test]
async fn a_log_is_followed_while_it_is_printed_and_ends_with_its_function() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let deployed = runner.deploy("hello", &[("main.py", TALKS)], &ada).await;
    let path = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());
    let logs = format!("{path}/logs?follow=true");
    let mut followed = Followed::new(&runner, &logs, None, &ada).await;
    let invoke = runner.request(Method::POST, &format!("{path}/invoke"), &ada).json(&json!({ "body": 40 }));

    let (called, (first, last)) = tokio::join!(invoke.send(), followed.lines(15));

    assert_eq!(called.unwrap().status(), 200);
    drop(followed);
    let mut followed = Followed::new(&runner, &logs, Some(&last), &ada).await;
    let (rest, _) = followed.lines(25).await;
    let expected: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
    assert_eq!([first, rest].concat(), expected);
    assert_eq!(runner.delete(&path, &ada).await.status(), 204);
    let end = followed.next().await.unwrap();
    assert_eq!((end.1.as_str(), end.2.as_str()), ("end", "function_deleted"));
    assert_eq!(followed.next().await, None);
}

#[tokio::test]
async fn a_log_that_is_followed_ends_when_the_runner_stops() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let deployed = runner.deploy("hello", &[("main.py", TALKS)], &ada).await;
    let path = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());
    let mut followed = Followed::new(&runner, &format!("{path}/logs?follow=true"), None, &ada).await;

    let stopping = tokio::task::spawn_blocking(move || drop(runner));

    assert_eq!(followed.next().await, None);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_log_is_searched_and_bad_searches_are_refused() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let deployed = runner.deploy("hello", &[("main.py", TALKS)], &ada).await;
    let path = format!("/api/v1/functions/{}", deployed["function"]["id"].as_str().unwrap());
    let invoke = runner.request(Method::POST, &format!("{path}/invoke"), &ada).json(&json!({ "body": 12 }));
    assert_eq!(invoke.send().await.unwrap().status(), 200);

    let found = runner.read(&format!("{path}/logs?query=LINE%201&stream=stdout"), &ada).await;
    let texts: Vec<&str> =
        found["items"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["line 11", "line 10", "line 1"]);
    for empty in [
        "stream=stderr",
        "query=%00",
        "until=2020-01-01T00:00:00Z",
        "since=2999-01-01T00:00:00Z",
        "until=-99999-01-01T00:00:00Z",
    ] {
        assert_eq!(runner.read(&format!("{path}/logs?{empty}"), &ada).await["items"], json!([]), "{empty}");
    }
    let long = format!("query={}", "x".repeat(201));
    for refused in [
        &long,
        "stream=nowhere",
        "follow=perhaps",
        "until=yesterday",
        "follow=true&until=2020-01-01T00:00:00Z",
    ] {
        let answer = runner.get(&format!("{path}/logs?{refused}"), &ada).await;
        assert_eq!(problem(answer).await.0, 400, "{refused}");
    }
    let no_id = runner.request(Method::GET, &format!("{path}/logs?follow=true"), &ada);
    assert_eq!(problem(no_id.header("last-event-id", "7").send().await.unwrap()).await.0, 400);
    let stranger = runner.person();
    assert_eq!(runner.get(&format!("{path}/logs?follow=true"), &stranger).await.status(), 404);
}

#[tokio::test]
async fn logs_are_followed_by_so_many_at_a_time() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let deployed = runner.deploy("hello", &[("main.py", TALKS)], &ada).await;
    let logs = format!("/api/v1/functions/{}/logs?follow=true", deployed["function"]["id"].as_str().unwrap());
    let mut followed = Vec::new();
    for _ in 0..10 {
        followed.push(Followed::new(&runner, &logs, None, &ada).await);
    }
    let refused = runner.get(&logs, &ada).await;
    assert!(refused.headers().contains_key("retry-after"));
    let (status, code, _) = problem(refused).await;
    assert_eq!((status, code.as_str()), (429, "too_many_followers"));
}
