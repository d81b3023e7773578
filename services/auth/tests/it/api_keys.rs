//! API keys: made, listed, found and deleted.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_jwt::ApiKeyFingerprint;
use slipway_kernel::{Clock as _, SessionId};
use slipway_models::auth::UserType;
use slipway_testkit::TestDatabase;

use crate::harness::{TestAuth, problem};
use crate::trail::{Trail, count, dump, eventually};

/// Somebody with an account, and what proves it.
struct Owner<'a> {
    auth: &'a TestAuth,
    id: String,
    authorization: String,
}

impl<'a> Owner<'a> {
    async fn new(auth: &'a TestAuth, email: &str) -> Self {
        let id = auth.register(email).await["user"]["id"].as_str().unwrap().to_owned();
        let caller = auth.callers.session(id.parse().unwrap(), SessionId::generate(), UserType::Regular);
        Self { auth, id, authorization: caller.authorization }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.auth.request(method, path).header("authorization", &self.authorization);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn make(&self, body: Value) -> Response {
        self.send(Method::POST, "/api/v1/api-keys", Some(body)).await
    }

    async fn made(&self, name: &str) -> Value {
        let answer = self.make(json!({"name": name, "scopes": ["functions:write"]})).await;
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    async fn list(&self, query: &str) -> Value {
        self.auth.get_as(&format!("/api/v1/api-keys{query}"), &self.authorization).await.json().await.unwrap()
    }

    async fn delete(&self, key: &Value) -> u16 {
        let path = format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap());
        self.send(Method::DELETE, &path, None).await.status().as_u16()
    }
}

/// Asks for a key as a gateway does.
async fn find(auth: &TestAuth, secret: &Value) -> Value {
    let fingerprint = ApiKeyFingerprint::of(secret.as_str().unwrap()).unwrap().to_string();
    let request = auth.request(Method::POST, "/internal/api-keys").json(&json!({"fingerprint": fingerprint}));
    let answer = request.header("authorization", auth.callers.service("gateway")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["key"].clone()
}

#[tokio::test]
async fn a_key_is_shown_once_and_no_dump_and_no_log_has_it() {
    let auth = TestAuth::start().await;
    let ada = Owner::new(&auth, "ada@example.org").await;
    let answer = ada.make(json!({"name": "ci", "scopes": ["vault:read", "functions:write"]})).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let made: Value = answer.json().await.unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("slk_") && secret.len() == 47);

    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(ada.list("").await, json!({"items": [expected], "next_cursor": null}));
    assert_eq!(made["prefix"], secret[..8]);
    assert_eq!(made["scopes"], json!(["functions:write", "vault:read"]));
    assert_eq!(made["last_used_at"], Value::Null);

    let trail = Trail::of(&auth);
    trail.reaches(3).await;
    let rows = trail.list("?action=auth.api_key_create").await;
    assert_eq!(rows[0]["target"], json!({"type": "api_key", "id": made["id"]}));
    assert_eq!(rows[0]["actor"], json!({"type": "user", "id": ada.id}));
    let fingerprint = ApiKeyFingerprint::of(secret).unwrap().to_string();
    for table in ["api_keys", "audit_log", "audit_outbox"] {
        let dump = dump(&auth.database, table);
        assert!(!dump.contains(&secret[8..]) && !dump.contains(&fingerprint), "{table}");
    }
}

#[tokio::test]
async fn a_gateway_learns_what_a_key_may_do_and_its_use_is_noted_once_a_minute() {
    let auth = TestAuth::start().await;
    let ada = Owner::new(&auth, "ada@example.org").await;
    let made = ada.made("ci").await;
    let found = find(&auth, &made["secret"]).await;
    let expected = json!({
        "id": made["id"], "scopes": ["functions:write"], "expires_at": made["expires_at"], "user_id": ada.id,
        "handle": "ada", "user_type": "regular", "apps": ["functions"], "generation": 0,
    });
    assert_eq!(found, expected);

    let first = ada.list("").await["items"][0]["last_used_at"].clone();
    assert_eq!(first, json!(auth.clock.now()));
    auth.clock.advance(TimeDelta::seconds(59));
    find(&auth, &made["secret"]).await;
    assert_eq!(ada.list("").await["items"][0]["last_used_at"], first);
    auth.clock.advance(TimeDelta::seconds(1));
    let ada = Owner { authorization: again(&auth, &ada), ..ada };
    find(&auth, &made["secret"]).await;
    assert_eq!(ada.list("").await["items"][0]["last_used_at"], json!(auth.clock.now()));
}

/// Signs for the same person at a later time.
fn again(auth: &TestAuth, owner: &Owner<'_>) -> String {
    auth.callers.session(owner.id.parse().unwrap(), SessionId::generate(), UserType::Regular).authorization
}

#[tokio::test]
async fn a_key_that_was_deleted_has_ended_or_is_of_a_disabled_account_is_unknown() {
    let auth = TestAuth::start().await;
    let (ada, eve) = (Owner::new(&auth, "ada@example.org").await, Owner::new(&auth, "eve@example.org").await);
    let (deleted, kept) = (ada.made("one").await, ada.made("two").await);
    assert_eq!(eve.delete(&deleted).await, 404, "it is another's");
    assert_eq!(ada.delete(&deleted).await, 204);
    assert_eq!(ada.delete(&deleted).await, 404);
    assert_eq!(find(&auth, &deleted["secret"]).await, Value::Null);
    assert_eq!(ada.list("").await["items"].as_array().unwrap().len(), 1);
    let request = auth.request(Method::GET, "/internal/revocations");
    let feed = request.header("authorization", auth.callers.service("gateway")).send().await.unwrap();
    assert_eq!(feed.json::<Value>().await.unwrap()["revoked"][0]["session_id"], deleted["id"]);

    let admin = auth.callers.person(UserType::Admin).authorization;
    let put = async |is_active: bool| {
        let request = auth.request(Method::PATCH, &format!("/api/v1/admin/users/{}", ada.id));
        let request = request.header("authorization", &admin).json(&json!({"is_active": is_active}));
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    put(false).await;
    assert_eq!(find(&auth, &kept["secret"]).await, Value::Null);
    put(true).await;
    let found = find(&auth, &kept["secret"]).await;
    assert_eq!(
        (&found["id"], &found["generation"]),
        (&kept["id"], &json!(2)),
        "what a gateway knew is of an older one"
    );

    auth.clock.advance(TimeDelta::days(90));
    assert_eq!(find(&auth, &kept["secret"]).await, Value::Null);
    let unknown = slipway_jwt::ApiKeySecret::generate().unwrap();
    assert_eq!(find(&auth, &json!(unknown.expose())).await, Value::Null);
}

#[tokio::test]
async fn a_key_that_could_do_nothing_or_never_ends_is_not_made() {
    let auth = TestAuth::start().await;
    let ada = Owner::new(&auth, "ada@example.org").await;
    let faults = async |body: Value| problem(ada.make(body).await).await;
    let validation = |pointers: &[&str]| {
        (422, "validation_failed".to_owned(), pointers.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(faults(json!({"name": "", "scopes": []})).await, validation(&["/name", "/scopes"]));
    let never = json!({"name": "x", "scopes": ["vault:read"], "expires_at": "2100-01-01T00:00:00Z"});
    assert_eq!(faults(never).await, validation(&["/expires_at"]));
    assert_eq!(faults(json!({"name": "x", "scopes": ["admin:write"]})).await, validation(&["/scopes/0"]));
}

#[tokio::test]
async fn keys_are_listed_a_page_at_a_time_and_there_is_an_end_to_them() {
    let auth = TestAuth::start().await;
    let ada = Owner::new(&auth, "ada@example.org").await;
    for number in 0..50 {
        ada.made(&format!("key {number}")).await;
    }
    let one_more = ada.make(json!({"name": "one more", "scopes": ["vault:read"]})).await;
    assert_eq!(problem(one_more).await.1, "too_many_api_keys");

    let first = ada.list("?limit=30").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = ada.list(&format!("?limit=30&cursor={cursor}")).await;
    assert_eq!(second["next_cursor"], Value::Null);
    let pages = [first["items"].as_array().unwrap().as_slice(), second["items"].as_array().unwrap()].concat();
    let names: Vec<_> = pages.iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (0..50).rev().map(|number| format!("key {number}")).collect::<Vec<_>>());

    assert_eq!(ada.delete(&pages[0]).await, 204);
    ada.made("in its place").await;
}

#[tokio::test]
async fn keys_that_ended_are_removed_a_day_later_and_no_others() {
    let database = TestDatabase::create("auth", slipway_auth::MIGRATIONS);
    let keys = "INSERT INTO users VALUES (gen_random_uuid(), 'ada', 'ada@example.org', NULL, NULL, '', 'regular',
            'active', false, now(), NULL);
        INSERT INTO api_keys SELECT gen_random_uuid(), id, name, name::bytea, '', '{}', '2026-01-01Z',
            expires_at::timestamptz, NULL, revoked_at::timestamptz
            FROM users, (VALUES ('expired', '2026-01-09 11:59Z', NULL), ('deleted', '2026-02-01Z', '2026-01-09 11:59Z'),
                ('just expired', '2026-01-10 11:59Z', NULL), ('live', '2026-02-01Z', NULL))
                AS keys (name, expires_at, revoked_at)";
    database.superuser().batch_execute(keys).unwrap();
    let auth = TestAuth::start_on(database, &[]).await;
    eventually("they are removed", async || count(&auth.database, "api_keys") == 2).await;
    let left = dump(&auth.database, "api_keys");
    assert!(left.contains("just expired") && left.contains("live"), "{left}");
}
