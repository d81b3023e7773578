//! Ten times as many sign-ins as can be hashed, and refreshes without a pause; before, between and after, the bare work that
//! they cannot do without, on as many threads as there are processors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Request;
use reqwest::StatusCode;
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform};
use slipway_jwt::{AccessIssuer, Grant, SigningKeys};
use slipway_kernel::{SessionId, SystemClock, TokenId, UserId};
use slipway_models::auth::{LoginRequest, RefreshRequest, RegisterRequest, TokenAnswer, UserType};

use crate::figures::{Figures, target};
use crate::wire::Wire;

const FLOOD: Duration = Duration::from_secs(30);
const TIMES_CAPACITY: f64 = 10.0;
/// Refreshes take turns with bare signatures: what else goes on in the machine meets both.
const ROUNDS: u32 = 5;
const REFRESHING: Duration = Duration::from_secs(3);
/// So many that no processor waits for a disk.
const REFRESHERS: usize = 32;
const BARE_LOGINS: Duration = Duration::from_secs(5);
const BARE_SIGNATURES: Duration = Duration::from_secs(2);
/// What auth hashes at by default.
const COST: u32 = 12;
/// Between two requests to each other route.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
const PROBE_BOUND: Duration = Duration::from_millis(100);

pub(crate) async fn measure() {
    let platform = Platform::start(Mode::Separate).await;
    let login = register(&platform).await;
    let issuer = new_issuer();
    let before = bare_logins(&issuer).await;

    let started = Instant::now();
    let (answers, others) =
        tokio::join!(flood(&platform, &login, before * TIMES_CAPACITY), probe(&platform, &login, started));
    let hashes = f64::midpoint(before, bare_logins(&issuer).await);
    let mut sessions = sign_in_often(&platform, &login).await;
    let (mut refreshes, mut signatures) = (0.0, bare_signatures(&issuer).await);
    for _ in 0..ROUNDS {
        refreshes += refresh(&mut sessions).await;
        signatures += bare_signatures(&issuer).await;
    }
    let (refreshes, signatures) = (refreshes / f64::from(ROUNDS), signatures / f64::from(ROUNDS + 1));

    println!("a flood of sign-ins for {} s                     p50         p99", FLOOD.as_secs());
    others.print("other routes of auth");
    let Answers { accepted, refused, others: strange } = answers;
    println!("  {accepted:.1} accepted and {refused:.1} told 503 a second, {strange} others in all");
    println!("  {hashes:.1} hashes with a signature a second alone");
    println!("  {refreshes:.1} refreshes a second, {signatures:.1} signatures alone");
    target("p99 of other routes <= 100 ms", others.at(0.99) <= PROBE_BOUND);
    target("accepted sign-ins >= 0.85 of the bare work", accepted >= 0.85 * hashes);
    target("refreshes >= 0.8 of the bare signature", refreshes >= 0.8 * signatures);
    target("nothing else is answered", strange == 0);
}

async fn register(platform: &Platform) -> LoginRequest {
    let (email, password) = ("logins@example.org".to_owned(), Some(ADMIN_PASSWORD.to_owned()));
    let account =
        RegisterRequest { email: email.clone(), password: password.clone(), ..RegisterRequest::default() };
    platform.anonymous().register(&account).await.expect("a new account");
    LoginRequest { email: Some(email), password, ..LoginRequest::default() }
}

/// What became of the sign-ins, a second.
#[derive(Default)]
struct Answers {
    accepted: f64,
    refused: f64,
    others: usize,
}

/// Sends sign-ins at a rate, whether the ones before are answered or not.
async fn flood(platform: &Platform, login: &LoginRequest, rate: f64) -> Answers {
    let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let (started, mut sent) = (Instant::now(), Vec::new());
    while started.elapsed() < FLOOD {
        due.tick().await;
        let (client, login) = (platform.anonymous(), login.clone());
        sent.push(tokio::spawn(async move { client.login(&login).await.map(drop) }));
    }
    let mut answers = Answers::default();
    for answer in join_all(sent).await {
        match answer.expect("no panic") {
            Ok(()) => answers.accepted += 1.0,
            Err(fault) if fault.code() == Some("overloaded") => answers.refused += 1.0,
            Err(fault) => {
                eprintln!("  {fault}");
                answers.others += 1;
            }
        }
    }
    // To the last answer: what waits at the end is done as well.
    let seconds = started.elapsed().as_secs_f64();
    Answers { accepted: answers.accepted / seconds, refused: answers.refused / seconds, ..answers }
}

/// Asks other routes of auth meanwhile.
async fn probe(platform: &Platform, login: &LoginRequest, since: Instant) -> Figures {
    let tokens = platform.anonymous().login(login).await.expect("a session");
    let client = reqwest::Client::builder().build().expect("a client");
    let mut figures = Figures::default();
    while since.elapsed() < FLOOD {
        for path in ["users/me", "auth/sessions", "auth/jwks.json", "auth/prelogin?email=a@example.org"] {
            let request = client.get(format!("{}/api/v1/{path}", platform.gateway()));
            let started = Instant::now();
            let answer = request.bearer_auth(&tokens.access_token).send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            answer.bytes().await.expect("the whole answer");
            figures.add(started.elapsed());
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    }
    figures
}

/// A session that is refreshed over and over.
struct Refresher {
    wire: Wire,
    refresh_token: String,
}

impl Refresher {
    async fn refresh(&mut self) {
        let body = RefreshRequest { refresh_token: Some(self.refresh_token.clone()), transport: None };
        let body = serde_json::to_vec(&body).expect("a body");
        let request = Request::post("/api/v1/auth/refresh")
            .header("host", "bench")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)));
        let answer = self.wire.ask(request.expect("a request")).await;
        self.refresh_token =
            serde_json::from_slice::<TokenAnswer>(&answer).expect("the next tokens").refresh_token;
    }
}

async fn sign_in_often(platform: &Platform, login: &LoginRequest) -> Vec<Refresher> {
    let mut tokens = Vec::new();
    for _ in 0..REFRESHERS {
        tokens.push(platform.anonymous().login(login).await.expect("a session").refresh_token);
    }
    // Not before: the gateway gives up connections over which nothing comes.
    let begin = async |refresh_token| Refresher { wire: Wire::to_gateway(platform).await, refresh_token };
    join_all(tokens.into_iter().map(begin)).await
}

/// Refreshes all sessions without a pause; returns how often a second.
async fn refresh(sessions: &mut [Refresher]) -> f64 {
    let started = Instant::now();
    let one = async |session: &mut Refresher| {
        let mut count = 0_u32;
        while started.elapsed() < REFRESHING {
            session.refresh().await;
            count += 1;
        }
        count
    };
    let count: u32 = join_all(sessions.iter_mut().map(one)).await.into_iter().sum();
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// How often a second the processors make a hash and a signature.
async fn bare_logins(issuer: &Arc<AccessIssuer>) -> f64 {
    let issuer = Arc::clone(issuer);
    let work = move || {
        bcrypt::hash(ADMIN_PASSWORD, COST).expect("a hash");
        sign(&issuer);
    };
    per_second(BARE_LOGINS, work).await
}

/// How often a second the processors make a signature.
async fn bare_signatures(issuer: &Arc<AccessIssuer>) -> f64 {
    let issuer = Arc::clone(issuer);
    per_second(BARE_SIGNATURES, move || sign(&issuer)).await
}

/// Does one piece of work over and over on every processor for so long; returns how often a second.
async fn per_second(within: Duration, work: impl Fn() + Send + Sync + 'static) -> f64 {
    let work = Arc::new(work);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (0..processors).map(|_| {
        let work = Arc::clone(&work);
        tokio::task::spawn_blocking(move || {
            let (started, mut count) = (Instant::now(), 0_u32);
            while started.elapsed() < within {
                work();
                count += 1;
            }
            f64::from(count) / started.elapsed().as_secs_f64()
        })
    });
    join_all(threads).await.into_iter().map(|rate| rate.expect("no panic")).sum()
}

fn new_issuer() -> Arc<AccessIssuer> {
    let keys = tempfile::tempdir().expect("a directory");
    let keys = SigningKeys::load_or_create(keys.path()).expect("a key");
    Arc::new(AccessIssuer::new(keys, Arc::new(SystemClock)))
}

fn sign(issuer: &AccessIssuer) {
    let grant = Grant {
        token_id: TokenId::generate(),
        user_id: UserId::generate(),
        session_id: SessionId::generate(),
        email: "logins@example.org".to_owned(),
        handle: "logins".into(),
        user_type: UserType::Regular,
        apps: ["functions".to_owned()].into(),
        generation: 0,
    };
    issuer.issue(grant).expect("a token");
}
