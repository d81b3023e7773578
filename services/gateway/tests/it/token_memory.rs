//! What garbage in the place of tokens costs in memory.

use std::process::Stdio;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use tokio::process::Command;

use crate::harness::{TestGateway, access_key_file};
use crate::token_attacks::sign;

/// Set for the process that measures: what other tests take must not count.
const ALONE: &str = "MEASURES_ALONE";
const NAME: &str = "token_memory::thousands_of_bad_tokens_leave_nothing_behind";

const TOKENS: usize = 6000;
const MOST_GROWTH: u64 = 8 * 1024 * 1024;

#[tokio::test]
async fn thousands_of_bad_tokens_leave_nothing_behind() {
    if std::env::var_os(ALONE).is_some() {
        return measure().await;
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "1").stdin(Stdio::null());
    let output = alone.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn measure() {
    let gateway = TestGateway::start().await;
    let good = gateway.sign_in().token;
    assert_eq!(gateway.get("/api/v1/functions", &good).await.status(), 200);
    show(&gateway, &good, 0..TOKENS / 10).await;
    let before = resident();

    show(&gateway, &good, TOKENS / 10..TOKENS).await;

    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "grown by {} KiB", grown / 1024);
    assert_eq!(gateway.get("/api/v1/functions", &good).await.status(), 200);
}

/// Shows tokens that are all different: of 8 KB of noise, with a signature that is not right, and of unknown keys.
async fn show(gateway: &TestGateway, good: &str, numbers: std::ops::Range<usize>) {
    let (message, signature) = good.rsplit_once('.').unwrap();
    let key = EncodingKey::from_secret(access_key_file(1));
    for number in numbers {
        let token = match number % 3 {
            0 => format!("{number}.{}.x", "A".repeat(8000)),
            1 => format!("{message}.{number:06}{}", &signature[6..]),
            _ => {
                let header =
                    json!({ "alg": "RS256", "typ": "JWT", "kid": format!("{number}{}", "k".repeat(3000)) });
                sign(&header.to_string(), "{}", Algorithm::HS256, &key)
            }
        };
        assert_eq!(gateway.get("/api/v1/functions", &token).await.status(), 401);
    }
}

/// Returns the resident memory of this process, the gateway in it, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
