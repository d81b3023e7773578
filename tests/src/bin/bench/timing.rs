//! How long a sign-in is refused, in turn for an unknown account, for a wrong password, and for a proof of the form that the
//! account does not have.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform};

use crate::figures::{Figures, target};

const TRIES: usize = 500;
const MOST_APART: f64 = 0.05;

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let client = reqwest::Client::builder().build().expect("a client");
    let (right, wrong) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
    let kdf = json!({"algorithm": "pbkdf2-sha256", "iterations": 600_000, "salt": STANDARD.encode([3; 16])});
    for account in [
        json!({"email": "plain@example.org", "password": ADMIN_PASSWORD}),
        json!({"email": "blind@example.org", "auth_hash": right, "kdf": kdf}),
    ] {
        let status = post(&platform, &client, "register", &account).await;
        assert_eq!(status, StatusCode::CREATED, "{account}");
    }
    let forms = [
        ("password", "Wrong horse battery".to_owned(), "plain@example.org", "blind@example.org"),
        ("auth_hash", wrong, "blind@example.org", "plain@example.org"),
    ];
    for (form, proof, own, other) in forms {
        compare(&platform, &client, (form, &proof), [own, other]).await;
    }
}

/// Tries in turn, so that all three see the same noise of the machine.
async fn compare(
    platform: &Platform,
    client: &reqwest::Client,
    (form, proof): (&str, &str),
    [own, other]: [&str; 2],
) {
    let mut refusals =
        [("wrong", own), ("of the other form", other), ("unknown account", "nobody@example.org")]
            .map(|(what, email)| (what, email, Figures::default()));
    for round in 0..TRIES + TRIES / 10 {
        for (_, email, figures) in &mut refusals {
            let started = Instant::now();
            let status = post(platform, client, "login", &json!({"email": email, (form): proof})).await;
            let time = started.elapsed();
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            // The first tenth warms caches and connections up.
            if round >= TRIES / 10 {
                figures.add(time);
            }
        }
    }
    println!("{form}, {TRIES} tries each                     p50         p99");
    for (what, _, figures) in &refusals {
        figures.print(what);
    }
    let median = |figures: &Figures| figures.at(0.5).as_secs_f64();
    let unknown = median(&refusals[2].2);
    for (what, _, figures) in &refusals[..2] {
        let apart = (median(figures) - unknown).abs() / unknown;
        target(&format!("{what} and unknown account < 5 % apart ({:.1} %)", apart * 1e2), apart < MOST_APART);
    }
}

async fn post(platform: &Platform, client: &reqwest::Client, path: &str, body: &Value) -> StatusCode {
    let request = client.post(format!("{}/api/v1/auth/{path}", platform.gateway())).json(body);
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    answer.bytes().await.expect("the whole answer");
    status
}
