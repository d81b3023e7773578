use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestAuth, auth_hash, kdf, problem};
use crate::trail::Trail;

const NEW: &str = "Another horse battery";

async fn change(auth: &TestAuth, tokens: &Value, body: &Value) -> Response {
    let request = auth.request(Method::PUT, "/api/v1/auth/password").json(body);
    auth.as_owner(request, tokens).send().await.unwrap()
}

async fn revoked_sessions(auth: &TestAuth) -> Vec<Value> {
    let service = auth.callers.service("gateway");
    let feed: Value = auth.get_as("/internal/revocations", &service).await.json().await.unwrap();
    let revoked = feed["revoked"].as_array().unwrap().iter();
    revoked.map(|revoked| revoked["session_id"].clone()).collect()
}

async fn signs_in(auth: &TestAuth, proof: (&str, &str)) -> bool {
    let body = json!({"email": "ada@example.org", (proof.0): proof.1});
    auth.post("/api/v1/auth/login", body).await.status() == 200
}

#[tokio::test]
async fn a_new_password_counts_at_once_and_ends_all_other_sessions() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let (second, third) = (auth.login("ada@example.org").await, auth.login("ada@example.org").await);
    let body = json!({"current_password": PASSWORD, "new_password": NEW});

    assert_eq!(change(&auth, &own, &body).await.status(), 204);

    assert!(!signs_in(&auth, ("password", PASSWORD)).await);
    assert!(signs_in(&auth, ("password", NEW)).await);
    assert_eq!(auth.refresh(&own["refresh_token"]).await.status(), 200);
    let mut ended = vec![second["session_id"].clone(), third["session_id"].clone()];
    let mut revoked = revoked_sessions(&auth).await;
    ended.sort_by_key(Value::to_string);
    revoked.sort_by_key(Value::to_string);
    assert_eq!(revoked, ended, "gateways refuse their access tokens");
    for other in [second, third] {
        assert_eq!(problem(auth.refresh(&other["refresh_token"]).await).await.1, "refresh_expired");
    }
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let other = auth.login("ada@example.org").await;
    for current in
        [json!({"current_password": "Wrong horse battery"}), json!({"current_auth_hash": auth_hash(1)})]
    {
        let mut body = current;
        body["new_password"] = NEW.into();
        let answer = change(&auth, &own, &body).await;
        assert_eq!(problem(answer).await, (401, "invalid_credentials".to_owned(), vec![]));
    }
    assert!(signs_in(&auth, ("password", PASSWORD)).await);
    assert_eq!(auth.refresh(&other["refresh_token"]).await.status(), 200);
    assert!(revoked_sessions(&auth).await.is_empty());
}

#[tokio::test]
async fn an_account_becomes_a_blind_one_and_a_plain_one_again() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let body = json!({"current_password": PASSWORD, "new_auth_hash": auth_hash(1), "new_kdf": kdf()});
    assert_eq!(change(&auth, &own, &body).await.status(), 204);
    assert!(!signs_in(&auth, ("password", PASSWORD)).await);
    assert!(signs_in(&auth, ("auth_hash", &auth_hash(1))).await);
    let prelogin = || auth.request(Method::GET, "/api/v1/auth/prelogin?email=ada@example.org").send();
    let told: Value = prelogin().await.unwrap().json().await.unwrap();
    assert_eq!(told["kdf"], kdf());

    let body = json!({"current_auth_hash": auth_hash(1), "new_password": NEW});
    assert_eq!(change(&auth, &own, &body).await.status(), 204);
    assert!(!signs_in(&auth, ("auth_hash", &auth_hash(1))).await);
    assert!(signs_in(&auth, ("password", NEW)).await);
    let told: Value = prelogin().await.unwrap().json().await.unwrap();
    assert_ne!(told["kdf"], kdf(), "its old salt is no more");
}

#[tokio::test]
async fn of_changes_at_once_from_one_password_one_counts() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let bodies: Vec<Value> = (0..5)
        .map(|number| json!({"current_password": PASSWORD, "new_password": format!("{NEW} {number}")}))
        .collect();
    let answers = join_all(bodies.iter().map(|body| change(&auth, &own, body))).await;
    let mut changed = Vec::new();
    for (body, answer) in bodies.iter().zip(answers) {
        match answer.status().as_u16() {
            204 => changed.push(body["new_password"].as_str().unwrap()),
            401 => {}
            other => panic!("answered {other}"),
        }
    }
    let [only] = changed[..] else { panic!("{changed:?}") };
    assert!(signs_in(&auth, ("password", only)).await);
}

#[tokio::test]
async fn a_change_names_every_field_at_fault() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let weak = json!({"current_password": PASSWORD, "new_password": "mytest"});
    let (status, code, pointers) = problem(change(&auth, &own, &weak).await).await;
    assert_eq!((status, code.as_str()), (422, "weak_password"));
    assert_eq!(pointers, ["/new_password"; 4]);
    for (body, at_fault) in [
        (json!({}), vec!["", ""]),
        (
            json!({"current_password": PASSWORD, "current_auth_hash": auth_hash(1), "new_password": NEW}),
            vec![""],
        ),
        (json!({"current_auth_hash": "x", "new_auth_hash": "x"}), vec!["/current_auth_hash", "/new_kdf"]),
        (json!({"current_password": PASSWORD, "password": NEW}), vec!["/password"]),
    ] {
        let (status, code, pointers) = problem(change(&auth, &own, &body).await).await;
        assert_eq!(
            (status, code.as_str(), pointers),
            (422, "validation_failed", at_fault.iter().map(|&at| at.to_owned()).collect()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn changes_and_failed_ones_are_accounted_for_without_any_password() {
    let auth = TestAuth::start().await;
    let own = auth.signed_in().await;
    let trail = Trail::of(&auth);
    change(&auth, &own, &json!({"current_password": "Wrong horse battery", "new_password": NEW})).await;
    change(&auth, &own, &json!({"current_password": PASSWORD, "new_password": NEW})).await;
    trail.reaches(5).await;
    let rows = trail.list("").await;
    let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..2], ["auth.password_change", "auth.password_change_failed"]);
    assert_eq!(
        rows[0]["actor"],
        rows[0]["target"]
            .as_object()
            .map_or(Value::Null, |target| json!({"type": "user", "id": target["id"]}))
    );
    let text = serde_json::to_string(&rows).unwrap();
    assert!(!text.contains("horse") && !text.contains("$2b$"), "{text}");
}

#[tokio::test]
async fn a_policy_of_length_alone_is_a_setting() {
    let policy = [("AUTH_PASSWORD_MIN_LENGTH", "15"), ("AUTH_PASSWORD_COMPOSITION", "false")];
    let auth = TestAuth::start_with(&policy).await;
    let register = |password: &str| {
        auth.post("/api/v1/auth/register", json!({"email": "ada@example.org", "password": password}))
    };
    for weak in ["Short, mixed 7", "passwordpassword"] {
        assert_eq!(problem(register(weak).await).await.1, "weak_password", "{weak}");
    }
    assert_eq!(register("correct horse battery").await.status(), 201);
}
