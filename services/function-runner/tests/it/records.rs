use reqwest::Method;
use serde_json::{Value, json};

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
