//! Accounts whose password the platform never sees.

use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestAuth, auth_hash, kdf, problem};
use crate::trail::dump;

async fn prelogin(auth: &TestAuth, email: &str) -> Value {
    let request = auth.request(reqwest::Method::GET, "/api/v1/auth/prelogin").query(&[("email", email)]);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_blind_account_signs_in_by_what_its_client_derived() {
    let auth = TestAuth::start().await;
    auth.register_blind("ada@example.org", 1).await;
    let login = |hash: String| {
        auth.post("/api/v1/auth/login", json!({"email": "Ada@example.org", "auth_hash": hash}))
    };
    assert_eq!(login(auth_hash(1)).await.status(), 200);
    assert_eq!(problem(login(auth_hash(2)).await).await, (401, "invalid_credentials".to_owned(), vec![]));
    let users = dump(&auth.database, "users");
    assert!(users.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{users}");
    assert!(!users.contains(&auth_hash(1)));
}

#[tokio::test]
async fn a_proof_of_the_wrong_form_gets_the_answer_of_an_unknown_account() {
    let auth = TestAuth::start().await;
    auth.register_blind("blind@example.org", 1).await;
    auth.register("plain@example.org").await;
    for body in [
        json!({"email": "blind@example.org", "password": PASSWORD}),
        json!({"email": "blind@example.org", "password": auth_hash(1)}),
        json!({"email": "plain@example.org", "auth_hash": auth_hash(1)}),
        json!({"email": "nobody@example.org", "auth_hash": auth_hash(1)}),
        json!({"username": "nobody", "auth_hash": auth_hash(1)}),
        json!({"email": "blind@example.org", "auth_hash": auth_hash(2)}),
    ] {
        let answer = auth.post("/api/v1/auth/login", body).await;
        assert_eq!(problem(answer).await, (401, "invalid_credentials".to_owned(), vec![]));
    }
}

#[tokio::test]
async fn nobody_learns_from_prelogin_who_has_an_account() {
    let auth = TestAuth::start().await;
    auth.register_blind("blind@example.org", 1).await;
    auth.register("plain@example.org").await;
    assert_eq!(prelogin(&auth, "Blind@Example.org").await, json!({"kdf": kdf()}));
    let (unknown, plain) =
        (prelogin(&auth, "nobody@example.org").await, prelogin(&auth, "plain@example.org").await);
    assert_eq!(prelogin(&auth, " NOBODY@example.org").await, unknown, "it is always the same");
    assert_ne!(plain["kdf"]["salt"], unknown["kdf"]["salt"]);
    for made_up in [unknown, plain] {
        let kdf_of_it = made_up["kdf"].as_object().unwrap();
        assert_eq!(
            (&kdf_of_it["algorithm"], &kdf_of_it["iterations"]),
            (&json!("pbkdf2-sha256"), &json!(600_000))
        );
        let length = |salt: &Value| salt.as_str().unwrap().len();
        assert_eq!((kdf_of_it.len(), length(&kdf_of_it["salt"])), (3, length(&kdf()["salt"])));
    }
}

#[tokio::test]
async fn what_is_told_before_registering_is_what_is_told_after_it() {
    let auth = TestAuth::start().await;
    let told = prelogin(&auth, "ada@example.org").await;
    let account = json!({"email": "ada@example.org", "auth_hash": auth_hash(1), "kdf": told["kdf"]});
    assert_eq!(auth.post("/api/v1/auth/register", account).await.status(), 201);
    assert_eq!(prelogin(&auth, "ada@example.org").await, told);
}

#[tokio::test]
async fn prelogin_without_an_address_is_told_so() {
    let auth = TestAuth::start().await;
    for path in ["/api/v1/auth/prelogin", "/api/v1/auth/prelogin?email=nobody"] {
        let answer = auth.request(reqwest::Method::GET, path).send().await.unwrap();
        assert_eq!(problem(answer).await, (400, "invalid_request".to_owned(), vec![]), "{path}");
    }
}

#[tokio::test]
async fn a_request_holds_one_proof_and_a_sound_one() {
    let auth = TestAuth::start().await;
    let weak = json!({"algorithm": "pbkdf2-sha256", "iterations": 1000, "salt": "c2l4dGVlbiBieXRlcyE1Ng=="});
    let other = json!({"algorithm": "md5", "iterations": 600_000, "salt": "c2l4dGVlbiBieXRlcyE1Ng=="});
    let hash = auth_hash(1);
    for (path, proof, pointer) in [
        ("register", json!({}), ""),
        ("register", json!({"password": PASSWORD, "auth_hash": hash, "kdf": kdf()}), ""),
        ("register", json!({"password": PASSWORD, "kdf": kdf()}), "/kdf"),
        ("register", json!({"auth_hash": hash}), "/kdf"),
        ("register", json!({"auth_hash": hash, "kdf": weak}), "/kdf"),
        ("register", json!({"auth_hash": hash, "kdf": other}), "/kdf/algorithm"),
        ("register", json!({"auth_hash": "AAAA", "kdf": kdf()}), "/auth_hash"),
        ("login", json!({}), ""),
        ("login", json!({"password": PASSWORD, "auth_hash": hash}), ""),
        ("login", json!({"auth_hash": "AAAA"}), "/auth_hash"),
    ] {
        let mut body = proof.clone();
        body["email"] = "ada@example.org".into();
        let answer = auth.post(&format!("/api/v1/auth/{path}"), body).await;
        let expected = (422, "validation_failed".to_owned(), vec![pointer.to_owned()]);
        assert_eq!(problem(answer).await, expected, "{path} {proof}");
    }
}
