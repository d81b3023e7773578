use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::prelude::*;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use slipway_kernel::{Clock as _, SystemClock};
use slipway_testkit::TestCaller;
use std::process::Command;

use crate::harness::{TestRunner, eventually, problem};
use crate::secrets::{dump, owner_of, query};

const ECHO: &str = "
def handle(request, context):
    return {name: request[name] for name in ('method', 'path', 'query', 'headers', 'body')}
";

/// A function that is its owner's alone, and its keys.
struct Private {
    owner: TestCaller,
    path: String,
    trigger: String,
}

/// A key as its owner has it.
#[derive(Clone)]
struct Key {
    id: String,
    secret: String,
}

/// What a client signs, each part as it would be sent.
#[derive(Clone)]
struct Call {
    key: Key,
    method: Method,
    target: String,
    body: &'static str,
    nonce: &'static str,
    age: i64,
}

impl Private {
    async fn deploy(runner: &TestRunner, name: &str) -> Self {
        let owner = runner.person();
        let answer = runner.deploy(name, &[("main.py", ECHO)], &owner).await;
        let function = &answer["function"];
        Self {
            owner,
            path: format!("/api/v1/functions/{}", function["id"].as_str().unwrap()),
            trigger: function["url"].as_str().unwrap().to_owned(),
        }
    }

    async fn make_key(&self, runner: &TestRunner, request: Value) -> Response {
        let path = format!("{}/keys", self.path);
        runner.request(Method::POST, &path, &self.owner).json(&request).send().await.unwrap()
    }

    async fn key(&self, runner: &TestRunner, request: Value) -> Key {
        let answer = self.make_key(runner, request).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["cache-control"]),
            (201, &"no-store".parse().unwrap())
        );
        let made: Value = answer.json().await.unwrap();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        assert!(text("secret").starts_with(&text("prefix")) && text("secret").len() == 47, "{made:#}");
        Key { id: text("id"), secret: text("secret") }
    }

    fn call(&self, key: &Key) -> Call {
        let (key, target) = (key.clone(), format!("{}/a%2Fb?q=1&q=%C3%A4", self.trigger));
        Call { key, method: Method::POST, target, body: r#"{"a":1}"#, nonce: "n-1", age: 0 }
    }

    async fn last_run(&self, runner: &TestRunner) -> Value {
        let runs = runner.read(&format!("{}/executions?limit=1", self.path), &self.owner).await;
        runs["items"][0].clone()
    }

    async fn delete_key(&self, runner: &TestRunner, key: &Key) -> u16 {
        let path = format!("{}/keys/{}", self.path, key.id);
        runner.delete(&path, &self.owner).await.status().as_u16()
    }
}

impl Call {
    fn seconds(&self) -> i64 {
        SystemClock.now().timestamp() - self.age
    }

    fn mac(&self, message: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.secret.as_bytes());
        STANDARD.encode(hmac::sign(&key, message.as_bytes()))
    }

    fn request(&self, runner: &TestRunner) -> RequestBuilder {
        let request = runner.client.request(self.method.clone(), format!("{}{}", runner.base, self.target));
        request.header("content-type", "application/json").body(self.body)
    }

    /// Signs as RFC 9421 has it.
    fn signed(&self, runner: &TestRunner) -> RequestBuilder {
        let digest = digest::digest(&digest::SHA256, self.body.as_bytes());
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let parameters = format!(
            r#"("@method" "@path" "@query" "content-digest");created={};keyid="{}";nonce="{}""#,
            self.seconds(),
            self.key.id,
            self.nonce
        );
        let base = format!(
            "\"@method\": {}\n\"@path\": {path}\n\"@query\": ?{query}\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}",
            self.method
        );
        self.request(runner)
            .header("content-digest", digest)
            .header("signature-input", format!("sig1={parameters}"))
            .header("signature", format!("sig1=:{}:", self.mac(&base)))
    }

    /// Signs as clients of `ContainerPub` do.
    fn signed_for_container_pub(&self, runner: &TestRunner) -> RequestBuilder {
        let time = self.seconds();
        self.request(runner)
            .header("x-api-key", &self.key.id)
            .header("x-timestamp", time.to_string())
            .header("x-signature", self.mac(&format!("{time}:{}", self.body)))
    }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// Sends what has to be refused as unauthenticated; returns the code and the sentence.
async fn refused(request: RequestBuilder) -> (String, String) {
    let (status, code, detail) = problem(request.send().await.unwrap()).await;
    assert_eq!(status, 401, "{code}: {detail}");
    (code, detail)
}

#[tokio::test]
async fn a_signed_call_reaches_a_private_function_and_its_record_names_the_key() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    let key = function.key(&runner, json!({ "name": "the till" })).await;
    let call = function.call(&key);
    assert_eq!(refused(call.request(&runner)).await.0, "unauthenticated");

    let seen: Value = call.signed(&runner).header("x-mine", "1").send().await.unwrap().json().await.unwrap();

    assert_eq!(
        (&seen["method"], &seen["path"], &seen["body"]),
        (&json!("POST"), &json!("/a%2Fb"), &json!({ "a": 1 }))
    );
    assert_eq!(
        (&seen["headers"]["x-mine"], &seen["headers"]["content-type"]),
        (&json!("1"), &json!("application/json"))
    );
    for name in ["signature", "signature-input"] {
        assert_eq!(seen["headers"][name], Value::Null, "{name}");
    }
    let run = function.last_run(&runner).await;
    assert_eq!((&run["trigger"], &run["signing_key_id"]), (&json!("http"), &json!(key.id)));
    let bare = Call { method: Method::GET, target: function.trigger.clone(), body: "", ..call.clone() };
    assert_eq!(status(bare.signed(&runner)).await, 200);

    // It is for nothing else: no other route takes it, and no other function.
    for (method, path) in
        [("GET", ""), ("DELETE", ""), ("POST", "/invoke"), ("POST", "/keys"), ("GET", "/executions")]
    {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let other = Call { method, target: format!("{}{path}", function.path), ..call.clone() };
        assert_eq!(status(other.signed(&runner)).await, 401, "{path}");
    }
    // The owner's own call is not let in for a signature: nobody looks at it, and the function gets it.
    let own = call.request(&runner).header("authorization", &function.owner.authorization);
    let seen: Value = own.header("signature", "mine").send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["headers"]["signature"], "mine");
    assert_eq!(function.last_run(&runner).await["signing_key_id"], Value::Null);
}

#[tokio::test]
async fn what_no_key_of_the_function_signed_is_refused_and_tells_nothing() {
    let runner = TestRunner::start().await;
    let (function, other) =
        (Private::deploy(&runner, "hello").await, Private::deploy(&runner, "hello").await);
    let (key, others) = (function.key(&runner, json!({})).await, other.key(&runner, json!({})).await);
    let call = function.call(&key);
    let nowhere = Call { target: "/f/nobody/hello".to_owned(), ..call.clone() };
    let invalid = refused(nowhere.signed(&runner)).await;
    assert_eq!(invalid.0, "invalid_signature");
    for (what, call) in [
        ("another's key", Call { key: others.clone(), ..call.clone() }),
        ("another's secret", Call { key: Key { id: key.id.clone(), secret: others.secret }, ..call.clone() }),
        ("another's function", Call { target: other.trigger.clone(), ..call.clone() }),
        ("no function", Call { target: format!("{}x", function.trigger), ..call.clone() }),
        ("no key", Call { key: Key { id: others.id, ..key.clone() }, ..call.clone() }),
    ] {
        assert_eq!(refused(call.signed(&runner)).await, invalid, "{what}");
    }
    assert_eq!(refused(call.signed(&runner).body("{}")).await, invalid, "another body");
    let large = Call { body: "x".repeat(200_000).leak(), ..call.clone() };
    assert_eq!(refused(large.signed(&runner).body("y".repeat(200_000))).await, invalid, "another large body");
    assert_eq!(
        refused(call.signed_for_container_pub(&runner)).await,
        invalid,
        "the key is of the other scheme"
    );

    // What is out of time or unreadable is told to everybody, whatever there is.
    for call in [call.clone(), nowhere] {
        for age in [1_000, -1_000] {
            let late = Call { age, ..call.clone() };
            assert_eq!(refused(late.signed(&runner)).await.0, "signature_expired");
            assert_eq!(refused(late.signed_for_container_pub(&runner)).await.0, "signature_expired");
        }
        let (code, detail) = refused(call.request(&runner).header("signature-input", "x")).await;
        assert_eq!(
            (code.as_str(), detail.contains("signature-input must hold")),
            ("malformed_signature", true)
        );
    }
    assert_eq!(function.last_run(&runner).await, Value::Null, "nothing ran");
    assert_eq!(status(large.signed(&runner)).await, 200, "with its own body it is good");
}

#[tokio::test]
async fn a_signature_sets_off_one_run_and_no_second_not_even_after_a_restart() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    let key = function.key(&runner, json!({})).await;
    let request = function.call(&key).signed(&runner).build().unwrap();
    let send = async |runner: &TestRunner| {
        let mut again = request.try_clone().unwrap();
        *again.url_mut() = format!("{}{}", runner.base, function.call(&key).target).parse().unwrap();
        runner.client.execute(again).await.unwrap()
    };
    // Of many at a time one is the first.
    let mut statuses = futures_util::future::join_all((0..8).map(|_| send(&runner))).await;
    statuses.sort_by_key(Response::status);
    let statuses: Vec<_> = statuses.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
    assert_eq!(problem(send(&runner).await).await.1, "signature_replayed");
    assert_eq!(status(Call { nonce: "n-2", ..function.call(&key) }.signed(&runner)).await, 200);

    let runner = TestRunner::start_on(runner.stop(), &[]).await;

    assert_eq!(problem(send(&runner).await).await.1, "signature_replayed");
    assert_eq!(status(Call { nonce: "n-3", ..function.call(&key) }.signed(&runner)).await, 200);
    let runs = runner.read(&format!("{}/executions", function.path), &function.owner).await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_warm_signed_call_asks_the_database_for_nothing() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    let call = function.call(&function.key(&runner, json!({})).await);
    assert_eq!(status(call.signed(&runner)).await, 200);
    runner.surroundings().database.stop();
    assert_eq!(status(Call { nonce: "n-2", ..call }.signed(&runner)).await, 200);
    runner.surroundings().database.start();
}

#[tokio::test]
async fn a_deleted_key_lets_nothing_in_from_its_answer_on() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    let (key, kept) = (function.key(&runner, json!({})).await, function.key(&runner, json!({})).await);
    for (key, nonce) in [(&key, "n-1"), (&kept, "n-1")] {
        assert_eq!(status(Call { nonce, ..function.call(key) }.signed(&runner)).await, 200);
    }
    let eve = runner.person();
    let hers = runner.delete(&format!("{}/keys/{}", function.path, key.id), &eve).await;
    assert_eq!(hers.status(), 404);

    assert_eq!(function.delete_key(&runner, &key).await, 204);

    let call = Call { nonce: "n-2", ..function.call(&key) };
    assert_eq!(refused(call.signed(&runner)).await.0, "invalid_signature");
    assert_eq!(function.delete_key(&runner, &key).await, 404);
    assert_eq!(status(Call { nonce: "n-2", ..function.call(&kept) }.signed(&runner)).await, 200);
    assert_eq!(runner.delete(&function.path, &function.owner).await.status(), 204);
    let call = Call { nonce: "n-3", ..function.call(&kept) };
    assert_eq!(refused(call.signed(&runner)).await.0, "invalid_signature");
    let of_keys = |row: &&String| row.contains("rfc9421") && !row.contains("function.key_create");
    assert_eq!(dump(&runner.surroundings().database).iter().filter(of_keys).count(), 0);
}

#[tokio::test]
async fn a_key_for_container_pub_clients_takes_their_headers_and_no_others() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    let key = function.key(&runner, json!({ "scheme": "containerpub" })).await;
    let call = function.call(&key);
    let seen: Value = call.signed_for_container_pub(&runner).send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["body"], json!({ "a": 1 }));
    for name in ["x-api-key", "x-timestamp", "x-signature"] {
        assert_eq!(seen["headers"][name], Value::Null, "{name}");
    }
    assert_eq!(function.last_run(&runner).await["signing_key_id"], json!(key.id));
    assert_eq!(refused(call.signed(&runner)).await.0, "invalid_signature");
    let altered = call.signed_for_container_pub(&runner).body("{}");
    assert_eq!(refused(altered).await.0, "invalid_signature");
    let same = Call { age: -100, ..call };
    let request = same.signed_for_container_pub(&runner);
    assert_eq!(status(request.try_clone().unwrap()).await, 200);
    assert_eq!(refused(request).await.0, "signature_replayed");
}

#[tokio::test]
async fn keys_are_listed_without_their_secrets_and_bounded() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    for request in [
        json!({ "name": "" }),
        json!({ "name": "ä".repeat(101) }),
        json!({ "name": "a\u{0}" }),
        json!({ "name": 1 }),
        json!({ "scheme": "none" }),
        json!({ "secret": "mine" }),
    ] {
        assert_eq!(problem(function.make_key(&runner, request.clone()).await).await.0, 422, "{request}");
    }
    let mut keys = Vec::new();
    for index in 0..20 {
        let name = "ä".repeat(99) + if index == 0 { "b" } else { "" };
        keys.push(function.key(&runner, json!({ "name": name, "scheme": "rfc9421" })).await);
    }
    let (status, code, _) = problem(function.make_key(&runner, json!({})).await).await;
    assert_eq!((status, code.as_str()), (422, "too_many_signing_keys"));

    let path = format!("{}/keys", function.path);
    let page = runner.read(&format!("{path}?limit=19"), &function.owner).await;
    assert_eq!(page["items"][0]["id"], json!(keys[19].id));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = runner.read(&format!("{path}?limit=19&cursor={cursor}"), &function.owner).await;
    let first = &rest["items"][0];
    let fields: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["created_at", "id", "name", "prefix", "scheme"]);
    assert_eq!((&first["id"], &first["scheme"]), (&json!(keys[0].id), &json!("rfc9421")));
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let rows = dump(&runner.surroundings().database);
    for Key { secret, .. } in &keys {
        assert!(rows.iter().all(|row| !row.contains(secret) && !row.contains(&hex::encode(secret))));
    }
}

#[tokio::test]
async fn a_new_sealing_key_takes_the_signing_keys_over_and_no_row_opens_in_anothers_place() {
    let runner = TestRunner::start().await;
    let function = Private::deploy(&runner, "hello").await;
    let (key, other) = (function.key(&runner, json!({})).await, function.key(&runner, json!({})).await);
    let surroundings = runner.stop();
    let keys = surroundings.callers.keys_dir().to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/generate-sealing-key");
    assert!(Command::new(script).arg("functions").arg(&keys).output().unwrap().status.success());
    let sealed = "SELECT sealed::text AS text FROM signing_keys ORDER BY id";
    let before = query(&mut owner_of(&surroundings.database), sealed);

    let runner = TestRunner::start_on(surroundings, &[]).await;
    eventually("the keys are sealed anew", async || {
        let now = query(&mut owner_of(&runner.surroundings().database), sealed);
        now.iter().zip(&before).all(|(now, before)| now != before)
    })
    .await;
    let surroundings = runner.stop();
    std::fs::remove_file(keys.join("functions.sealing-0.pem")).unwrap();
    let swapped = format!(
        "UPDATE signing_keys SET sealed = (SELECT sealed FROM signing_keys WHERE id = '{}') WHERE id = '{}'",
        key.id, other.id
    );
    assert_eq!(diesel::sql_query(swapped).execute(&mut owner_of(&surroundings.database)).unwrap(), 1);

    let runner = TestRunner::start_on(surroundings, &[]).await;

    assert_eq!(status(function.call(&key).signed(&runner)).await, 200);
    let stolen = Key { id: other.id, secret: key.secret.clone() };
    assert_eq!(status(function.call(&stolen).signed(&runner)).await, 500);
}
