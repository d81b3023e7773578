//! From a sign-out to the first request that is refused, at two gateways of their own, with Redis and without.

use std::time::{Duration, Instant};

use slipway_clients::platform::Client;
use slipway_config::Secret;
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform};
use slipway_models::auth::{LoginRequest, RegisterRequest};
use slipway_testkit::TestRedis;

use crate::figures::{Figures, target};

const LOGOUTS: usize = 200;
const BOUND: Duration = Duration::from_secs(1);

pub(crate) async fn measure() {
    let redis = TestRedis::start_new();
    measure_with("with Redis", &[("REDIS_URL", &redis.url())]).await;
    measure_with("without Redis", &[]).await;
}

async fn measure_with(what: &str, settings: &[(&str, &str)]) {
    let mut platform = Platform::start_with(Mode::Separate, settings).await;
    let second = platform.add_gateway().await;
    let login = register(&platform).await;
    let (mut first_refused, mut all_refused) = (Figures::default(), Figures::default());
    for _ in 0..LOGOUTS {
        let tokens = platform.anonymous().login(&login).await.expect("a session");
        let at = |gateway: &str| {
            Client::new(gateway).expect("its address").with_token(Secret::new(tokens.access_token.clone()))
        };
        let (here, there) = (at(platform.gateway()), at(&second));
        here.me().await.expect("a good token");
        there.me().await.expect("a good token");

        let started = Instant::now();
        here.logout().await.expect("the end of the session");
        let (near, far) = tokio::join!(refused(&here, started), refused(&there, started));
        first_refused.add(near.min(far));
        all_refused.add(near.max(far));
    }
    println!("{what}, {LOGOUTS} sign-outs                        p50         p99");
    first_refused.print("to the first refusal at one");
    all_refused.print("to the first refusal at both");
    target("p99 <= 1 s at both", all_refused.at(0.99) <= BOUND);
}

async fn register(platform: &Platform) -> LoginRequest {
    let email = "logout@example.org".to_owned();
    let password = Some(ADMIN_PASSWORD.to_owned());
    let account =
        RegisterRequest { email: email.clone(), password: password.clone(), ..RegisterRequest::default() };
    platform.anonymous().register(&account).await.expect("a new account");
    LoginRequest { email: Some(email), password, ..LoginRequest::default() }
}

/// Asks without a pause until the token is refused; returns how long that took.
async fn refused(client: &Client, since: Instant) -> Duration {
    loop {
        if client.me().await.is_err_and(|fault| fault.code() == Some("token_revoked")) {
            return since.elapsed();
        }
    }
}
