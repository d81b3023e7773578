//! Tokens that are revoked stop working at every gateway, whatever becomes of Redis.

use reqwest::Method;
use serde_json::{Value, json};
use slipway_clients::platform::Client;
use slipway_config::Secret;
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform, eventually};
use slipway_models::auth::{LoginRequest, REVOCATIONS_CHANNEL, TokenAnswer, UserType};
use slipway_testkit::TestRedis;

use crate::support::admin_token;

async fn login(platform: &Platform) -> TokenAnswer {
    let (email, password) = (Some("ada@example.org".to_owned()), Some(ADMIN_PASSWORD.to_owned()));
    let login = LoginRequest { email, password, ..LoginRequest::default() };
    platform.anonymous().login(&login).await.unwrap()
}

/// One person's session, as two gateways see it.
struct Seen([Client; 2]);

impl Seen {
    fn new(gateways: [&str; 2], access_token: &str) -> Self {
        Self(gateways.map(|gateway| Client::new(gateway).unwrap().with_token(Secret::new(access_token))))
    }

    async fn is_admitted(&self) {
        for gateway in &self.0 {
            gateway.me().await.unwrap();
        }
    }

    async fn is_refused(&self, when: &str) {
        for gateway in &self.0 {
            let refused = async || gateway.me().await.err();
            let fault = eventually(&format!("a refusal {when}"), refused).await;
            assert_eq!((fault.status(), fault.code()), (Some(401), Some("token_revoked")), "{when}");
        }
    }
}

#[tokio::test]
async fn what_is_revoked_while_redis_is_down_is_refused_then_and_when_it_is_back() {
    let mut redis = TestRedis::start_new();
    let mut platform = Platform::start_with(Mode::Separate, &[("REDIS_URL", &redis.url())]).await;
    let second = platform.add_gateway().await;
    platform.sign_in("ada").await;
    let sessions = {
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(Seen::new([platform.gateway(), &second], &login(&platform).await.access_token));
        }
        sessions
    };
    let [with_redis, without, before_its_return, after] = &sessions[..] else { unreachable!("four of them") };
    for session in &sessions {
        session.is_admitted().await;
    }
    let both_listen = |redis: &TestRedis| (redis.listeners(REVOCATIONS_CHANNEL) == 2).then_some(());
    eventually("two gateways that listen", async || both_listen(&redis)).await;

    with_redis.0[0].logout().await.unwrap();
    with_redis.is_refused("with Redis").await;

    redis.stop();
    without.0[0].logout().await.unwrap();
    without.is_refused("without Redis").await;
    after.is_admitted().await;

    before_its_return.0[1].logout().await.unwrap();
    redis.start();
    before_its_return.is_refused("though Redis was down").await;

    eventually("two gateways that listen again", async || both_listen(&redis)).await;
    after.is_admitted().await;
    after.0[1].logout().await.unwrap();
    after.is_refused("with Redis again").await;
}

#[tokio::test]
async fn revocations_outlive_a_restart_of_all() {
    let mut platform = Platform::start(Mode::Separate).await;
    platform.sign_in("ada").await;
    let (ended, other) = (login(&platform).await, login(&platform).await);
    let gateway = platform.gateway().to_owned();
    let client = |tokens: &TokenAnswer| {
        Client::new(&gateway).unwrap().with_token(Secret::new(tokens.access_token.clone()))
    };
    client(&ended).logout().await.unwrap();

    platform.kill();
    platform.restart().await;

    let fault = client(&ended).me().await.unwrap_err();
    assert_eq!(fault.code(), Some("token_revoked"), "from the first request on");
    client(&other).me().await.unwrap();
}

/// Asks auth for a change as the first superuser.
async fn manage(platform: &Platform, method: Method, path: &str, body: Value) {
    let admin = admin_token(platform).await;
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.request(method, format!("{}/api/v1/{path}", platform.gateway())).json(&body);
    let answer = request.bearer_auth(admin).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

#[tokio::test]
async fn a_change_of_grants_refuses_older_tokens_then_the_app_and_the_session_goes_on() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let old = login(&platform).await;
    let at = |access_token: &str| platform.anonymous().with_token(Secret::new(access_token));
    let user = at(&old.access_token).me().await.unwrap().id;
    at(&old.access_token).functions(None).await.unwrap();

    let apps = format!("admin/users/{user}/apps");
    manage(&platform, Method::PUT, &apps, json!({"apps": ["vault"]})).await;

    let refused = async || at(&old.access_token).me().await.err();
    assert_eq!(eventually("a refusal", refused).await.code(), Some("token_revoked"));
    let new = platform.anonymous().refresh(&old.refresh_token).await.unwrap();
    assert_eq!(new.session_id, old.session_id);
    at(&new.access_token).me().await.unwrap();
    let fault = at(&new.access_token).functions(None).await.unwrap_err();
    assert_eq!((fault.status(), fault.code()), (Some(403), Some("forbidden")));
}

#[tokio::test]
async fn a_change_of_type_refuses_older_tokens_and_a_disabling_all() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let old = login(&platform).await;
    let at = |tokens: &TokenAnswer| platform.anonymous().with_token(Secret::new(tokens.access_token.clone()));
    let refused = async |tokens: &TokenAnswer| {
        let fault = eventually("a refusal", async || at(tokens).me().await.err()).await;
        assert_eq!(fault.code(), Some("token_revoked"));
    };
    let change = format!("admin/users/{}", at(&old).me().await.unwrap().id);

    manage(&platform, Method::PATCH, &change, json!({"user_type": "qvp"})).await;
    refused(&old).await;
    let new = platform.anonymous().refresh(&old.refresh_token).await.unwrap();
    assert_eq!(at(&new).me().await.unwrap().user_type, UserType::Qvp);

    manage(&platform, Method::PATCH, &change, json!({"is_active": false})).await;
    refused(&new).await;
    let fault = platform.anonymous().refresh(&new.refresh_token).await.err().unwrap();
    assert_eq!(fault.code(), Some("refresh_expired"));
}

#[tokio::test]
async fn the_tokens_of_a_deleted_account_are_refused() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let tokens = login(&platform).await;
    let session = platform.anonymous().with_token(Secret::new(tokens.access_token));
    let user = session.me().await.unwrap().id;

    manage(&platform, Method::DELETE, &format!("users/{user}"), json!({})).await;

    let refused = async || session.functions(None).await.err();
    assert_eq!(eventually("a refusal", refused).await.code(), Some("token_revoked"));
    let fault = platform.anonymous().refresh(&tokens.refresh_token).await.err().unwrap();
    assert_eq!(fault.code(), Some("refresh_expired"));
}

#[tokio::test]
async fn signing_out_everywhere_and_ending_one_session_reach_the_gateway() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let client = reqwest::Client::builder().build().unwrap();
    let (first, second, third) = (login(&platform).await, login(&platform).await, login(&platform).await);
    let url = |path: &str| format!("{}/api/v1/auth/{path}", platform.gateway());
    let gone = async |tokens: &TokenAnswer, code: &str| {
        let session = platform.anonymous().with_token(Secret::new(tokens.access_token.clone()));
        let fault = eventually("a refusal", async || session.me().await.err()).await;
        assert_eq!(fault.code(), Some(code));
    };

    let one = client.delete(url(&format!("sessions/{}", first.session_id))).bearer_auth(&second.access_token);
    assert_eq!(one.send().await.unwrap().status(), 204);
    gone(&first, "token_revoked").await;
    let listed = client.get(url("sessions")).bearer_auth(&second.access_token).send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    let newest = &listed["items"][0];
    assert_eq!((&newest["id"], &newest["address"]), (&json!(third.session_id), &json!("127.0.0.1")));

    let all = client.post(url("logout-all")).bearer_auth(&second.access_token);
    assert_eq!(all.send().await.unwrap().status(), 204);
    gone(&second, "token_revoked").await;
    gone(&third, "token_revoked").await;
}

#[tokio::test]
async fn a_change_of_password_ends_the_other_sessions_at_the_gateway_and_the_own_goes_on() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let (own, other) = (login(&platform).await, login(&platform).await);
    let at = |tokens: &TokenAnswer| platform.anonymous().with_token(Secret::new(tokens.access_token.clone()));
    at(&other).me().await.unwrap();
    let client = reqwest::Client::builder().build().unwrap();
    let change = client.put(format!("{}/api/v1/auth/password", platform.gateway()));
    let body = json!({"current_password": ADMIN_PASSWORD, "new_password": "Another horse battery"});

    let answer = change.bearer_auth(&own.access_token).json(&body).send().await.unwrap();

    assert_eq!(answer.status(), 204);
    let fault = eventually("a refusal", async || at(&other).me().await.err()).await;
    assert_eq!(fault.code(), Some("token_revoked"));
    at(&own).me().await.unwrap();
    platform.anonymous().refresh(&own.refresh_token).await.unwrap();
}
