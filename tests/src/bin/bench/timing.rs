//! How long answers take that must not tell who has an account: in turn for addresses with one and without.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform};

use crate::figures::{Figures, target};

const TRIES: usize = 500;
const MOST_APART: f64 = 0.05;
const UNKNOWN: &str = "nobody@example.org";

pub(crate) async fn measure() {
    logins().await;
    answers_by_letter().await;
}

/// A wrong proof, one of the form that the account does not have, and one for no account.
async fn logins() {
    let asked = Asked::of(Platform::start(Mode::Separate).await);
    let (right, wrong) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
    let kdf = json!({"algorithm": "pbkdf2-sha256", "iterations": 600_000, "salt": STANDARD.encode([3; 16])});
    for account in [
        json!({"email": "plain@example.org", "password": ADMIN_PASSWORD}),
        json!({"email": "blind@example.org", "auth_hash": right, "kdf": kdf}),
    ] {
        asked.ask(asked.post("register", &account), StatusCode::CREATED).await;
    }
    let forms = [
        ("password", "Wrong horse battery".to_owned(), "plain@example.org", "blind@example.org"),
        ("auth_hash", wrong, "blind@example.org", "plain@example.org"),
    ];
    for (form, proof, own, other) in forms {
        let login = |email: &str| asked.post("login", &json!({"email": email, (form): proof}));
        let tries: [(&str, &dyn Fn(usize) -> RequestBuilder); 3] = [
            ("unknown account", &|_| login(UNKNOWN)),
            ("wrong", &|_| login(own)),
            ("of the other form", &|_| login(other)),
        ];
        asked.compare(&format!("sign-in by {form}"), StatusCode::UNAUTHORIZED, &tries).await;
    }
}

/// Registering, asking for a new password, and asking how to derive, where addresses are verified.
async fn answers_by_letter() {
    let settings = [("DEV_MODE", "true"), ("AUTH_EMAIL_VERIFICATION", "true")];
    let asked = Asked::of(Platform::start_with(Mode::Separate, &settings).await);
    let known = "known@example.org";
    let register = |email: &str| asked.post("register", &json!({"email": email, "password": ADMIN_PASSWORD}));
    asked.ask(register(known), StatusCode::ACCEPTED).await;
    let tries: [(&str, &dyn Fn(usize) -> RequestBuilder); 2] = [
        ("new address", &|round| register(&format!("new-{round}@example.org"))),
        ("known address", &|_| register(known)),
    ];
    asked.compare("registration", StatusCode::ACCEPTED, &tries).await;
    let forgot = |email: &str| asked.post("password/forgot", &json!({"email": email}));
    let tries: [(&str, &dyn Fn(usize) -> RequestBuilder); 2] =
        [("unknown address", &|_| forgot(UNKNOWN)), ("known address", &|_| forgot(known))];
    asked.compare("forgotten password", StatusCode::ACCEPTED, &tries).await;
    let prelogin = |email: &str| asked.client.get(asked.url("prelogin")).query(&[("email", email)]);
    let tries: [(&str, &dyn Fn(usize) -> RequestBuilder); 2] =
        [("unknown address", &|_| prelogin(UNKNOWN)), ("known address", &|_| prelogin(known))];
    asked.compare("prelogin", StatusCode::OK, &tries).await;
}

/// A platform that is asked.
struct Asked {
    platform: Platform,
    client: reqwest::Client,
}

impl Asked {
    fn of(platform: Platform) -> Self {
        Self { platform, client: reqwest::Client::builder().build().expect("a client") }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/auth/{path}", self.platform.gateway())
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.url(path)).json(body)
    }

    async fn ask(&self, request: RequestBuilder, status: StatusCode) {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        answer.bytes().await.expect("the whole answer");
    }

    /// Asks in turn, so that all see the same noise of the machine, and compares the others with the first.
    async fn compare(
        &self,
        what: &str,
        status: StatusCode,
        tries: &[(&str, &dyn Fn(usize) -> RequestBuilder)],
    ) {
        let mut times: Vec<Figures> = tries.iter().map(|_| Figures::default()).collect();
        for round in 0..TRIES + TRIES / 10 {
            for step in 0..tries.len() {
                // Each comes first as often as the others: what one sets going, the next one feels.
                let one = (round + step) % tries.len();
                let started = Instant::now();
                self.ask(tries[one].1(round), status).await;
                // The first tenth warms caches and connections up.
                if round >= TRIES / 10 {
                    times[one].add(started.elapsed());
                }
            }
        }
        println!("{what}, {TRIES} tries each                     p50         p99");
        let median = |figures: &Figures| figures.at(0.5).as_secs_f64();
        for ((name, _), figures) in tries.iter().zip(&times) {
            figures.print(name);
        }
        let ([(first, _), others @ ..], [base, rest @ ..]) = (tries, &times[..]) else { return };
        for ((name, _), figures) in others.iter().zip(rest) {
            let apart = (median(figures) - median(base)).abs() / median(base);
            let said = format!("{name} and {first} < 5 % apart ({:.1} %)", apart * 1e2);
            target(&said, apart < MOST_APART);
        }
    }
}
