use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::prelude::*;
use diesel::sql_types::Text;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_testkit::{TestCaller, TestDatabase};

use crate::harness::{TestRunner, eventually, problem};

/// Answers what its environment and its context say of the variables that the body names.
const TELL: &str = "
import os

def handle(request, context):
    return {name: [context.env.get(name), os.environ.get(name)] for name in request['body']}
";

/// A function that was deployed, and its owner.
struct Deployed {
    path: String,
    owner: TestCaller,
}

async fn deploy(runner: &TestRunner) -> Deployed {
    let owner = runner.person();
    let answer = runner.deploy("hello", &[("main.py", TELL)], &owner).await;
    Deployed { path: format!("/api/v1/functions/{}", answer["function"]["id"].as_str().unwrap()), owner }
}

impl Deployed {
    async fn put(&self, runner: &TestRunner, name: &str, body: &Value) -> Response {
        let path = format!("{}/secrets/{name}", self.path);
        runner.request(Method::PUT, &path, &self.owner).json(body).send().await.unwrap()
    }

    async fn set(&self, runner: &TestRunner, name: &str, value: &str) -> Value {
        let answer = self.put(runner, name, &json!({ "value": value })).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Asks the function for a variable, as its context and its environment have it.
    async fn told(&self, runner: &TestRunner, name: &str) -> Value {
        let path = format!("{}/invoke", self.path);
        let request = runner.request(Method::POST, &path, &self.owner).json(&json!({ "body": [name] }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["result"][name].clone()
    }
}

#[tokio::test]
async fn a_call_knows_the_secrets_of_its_moment() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner).await;
    let config = json!({ "env": { "TOKEN": "visible", "PLAIN": "kept" } });
    let patch = runner.request(Method::PATCH, &function.path, &function.owner).json(&config);
    assert_eq!(patch.send().await.unwrap().status(), 200);
    assert_eq!(function.told(&runner, "TOKEN").await, json!(["visible", "visible"]));

    for value in ["first", "", "zwölf\n\"zeilen\"\t\u{1}"] {
        function.set(&runner, "TOKEN", value).await;
        assert_eq!(function.told(&runner, "TOKEN").await, json!([value, value]), "the secret wins");
    }
    assert_eq!(function.told(&runner, "PLAIN").await, json!(["kept", "kept"]));

    let secret = format!("{}/secrets/TOKEN", function.path);
    assert_eq!(runner.delete(&secret, &function.owner).await.status(), 204);
    assert_eq!(function.told(&runner, "TOKEN").await, json!(["visible", "visible"]));
    assert_eq!(runner.delete(&secret, &function.owner).await.status(), 404);
}

#[tokio::test]
async fn a_list_tells_names_and_times() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner).await;
    let first = function.set(&runner, "A", "1").await;
    function.set(&runner, "B", "2").await;
    let again = function.set(&runner, "A", "3").await;
    assert_eq!((&again["name"], &again["created_at"]), (&json!("A"), &first["created_at"]));
    assert!(again["updated_at"].as_str() > first["updated_at"].as_str());

    let path = format!("{}/secrets", function.path);
    let page = runner.read(&format!("{path}?limit=1"), &function.owner).await;
    assert_eq!(page["items"][0]["name"], "B");
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = runner.read(&format!("{path}?limit=1&cursor={cursor}"), &function.owner).await;
    assert_eq!(rest, json!({ "items": [again], "next_cursor": null }));
}

#[tokio::test]
async fn nothing_but_the_function_has_the_value() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner).await;
    let value = "correct-horse-battery-staple";
    let mut seen = vec![function.set(&runner, "TOKEN", value).await.to_string()];
    // It is deployed anew while it has one: neither the build nor the image is told.
    let changed = format!("{TELL}\n# another");
    runner.deploy("hello", &[("main.py", &changed)], &function.owner).await;
    assert_eq!(function.told(&runner, "OTHER").await, json!([null, null]));

    for path in ["", "/secrets", "/deployments", "/executions", "/logs"] {
        seen.push(runner.read(&format!("{}{path}", function.path), &function.owner).await.to_string());
    }
    let surroundings = runner.surroundings();
    let id = fs::read_to_string(surroundings.state.path().join("runner-id")).unwrap();
    let label = format!("label=dev.slipway.runner={}", id.trim());
    let containers = podman(&["ps", "--quiet", "--filter", &label]);
    assert!(containers.lines().count() >= 1, "an instance is warm");
    let images = podman(&["images", "--quiet", "--filter", &label]);
    assert!(images.lines().count() >= 2);
    for container in containers.lines() {
        seen.push(podman(&["inspect", container]));
    }
    for image in images.lines() {
        seen.push(podman(&["image", "inspect", image]));
        seen.push(podman(&["history", "--no-trunc", image]));
    }
    seen.extend(dump(&surroundings.database));
    let mut contents = seen.into_iter().map(String::into_bytes).collect::<Vec<_>>();
    contents.extend([surroundings.state.path(), surroundings.run.path()].into_iter().flat_map(files));
    contents.extend(files(surroundings.callers.keys_dir()));

    let found = |text: &str| contents.iter().any(|content| holds(content, text));
    assert!(found("TOKEN") && found(id.trim()), "it is what was looked through");
    for form in [value.to_owned(), STANDARD.encode(value), hex::encode(value)] {
        assert!(!found(&form), "{form}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_secret_is_refused_and_not_repeated() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner).await;
    for name in ["lower", "1A", "A-B", "A%20B", "A%00", &"A".repeat(65)] {
        let (status, code, _) = problem(function.put(&runner, name, &json!({ "value": "x" })).await).await;
        assert_eq!((status, code.as_str()), (422, "validation_failed"), "{name}");
    }
    for body in [
        json!({ "value": 4711 }),
        json!({ "value": ["4711"] }),
        json!({ "value": null }),
        json!({ "value": "4711\u{0}" }),
        json!({ "value": "4711".repeat(10_000) }),
        json!({ "value": "4711", "vaule": "4711" }),
        json!({ "4711": "4711" }),
        json!("4711"),
        json!(4711),
    ] {
        let (status, _, detail) = problem(function.put(&runner, "A", &body).await).await;
        assert_eq!(status, 422, "{body:.60}");
        assert!(!detail.contains("4711"), "{detail}");
    }
    let listed = runner.read(&format!("{}/secrets", function.path), &function.owner).await;
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_function_has_so_many_secrets_and_no_more() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner).await;
    // The largest that are let through, and of characters that JSON writes as six: an instance is told them.
    let largest = "\u{1}".repeat(32 * 1024);
    for name in ["A", "B", "C"] {
        function.set(&runner, name, &largest).await;
    }
    function.set(&runner, "D", &"\u{1}".repeat(32 * 1024 - 4)).await;
    assert_eq!(function.told(&runner, "C").await[0], json!(largest));
    let full = problem(function.put(&runner, "E", &json!({ "value": "x" })).await).await;
    assert_eq!((full.0, full.1.as_str()), (422, "too_many_secrets"));
    function.set(&runner, "A", "").await;

    for index in 0..96 {
        function.set(&runner, &format!("N{index}"), "x").await;
    }
    let full = problem(function.put(&runner, "N96", &json!({ "value": "x" })).await).await;
    assert_eq!((full.0, full.1.as_str()), (422, "too_many_secrets"));
    function.set(&runner, "N95", "another").await;
    assert_eq!(function.told(&runner, "N95").await, json!(["another", "another"]));
}

#[tokio::test]
async fn a_new_key_takes_over_at_the_next_start() {
    let runner = TestRunner::start().await;
    let function = deploy(&runner).await;
    function.set(&runner, "TOKEN", "hunter2").await;
    let surroundings = runner.stop();
    let keys = surroundings.callers.keys_dir().to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/generate-sealing-key");
    assert!(Command::new(script).arg("functions").arg(&keys).output().unwrap().status.success());
    let before = sealed(&surroundings.database);

    let runner = TestRunner::start_on(surroundings, &[]).await;
    eventually("the secret is sealed anew", async || sealed(&runner.surroundings().database) != before).await;
    let surroundings = runner.stop();
    fs::remove_file(keys.join("functions.sealing-0.pem")).unwrap();

    let runner = TestRunner::start_on(surroundings, &[]).await;
    assert_eq!(function.told(&runner, "TOKEN").await, json!(["hunter2", "hunter2"]));
}

#[tokio::test]
async fn a_row_that_was_put_in_the_place_of_another_does_not_open() {
    let runner = TestRunner::start().await;
    let (ada, eve) = (deploy(&runner).await, deploy(&runner).await);
    ada.set(&runner, "TOKEN", "hers").await;
    eve.set(&runner, "TOKEN", "mine").await;
    let mut owner = owner_of(&runner.surroundings().database);
    let stolen =
        "UPDATE function_secrets SET sealed = (SELECT sealed FROM function_secrets ORDER BY id LIMIT 1)";
    assert_eq!(diesel::sql_query(stolen).execute(&mut owner).unwrap(), 2);

    let runner = TestRunner::start_on(runner.stop(), &[]).await;

    assert_eq!(ada.told(&runner, "TOKEN").await, json!(["hers", "hers"]));
    let call = runner.request(Method::POST, &format!("{}/invoke", eve.path), &eve.owner);
    let (status, code, detail) = problem(call.send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));
    assert!(!detail.contains("hers"), "{detail}");
}

#[derive(QueryableByName)]
struct Dumped {
    #[diesel(sql_type = Text)]
    text: String,
}

pub(crate) fn owner_of(database: &TestDatabase) -> PgConnection {
    PgConnection::establish(database.owner_url().expose()).unwrap()
}

pub(crate) fn query(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Dumped> = diesel::sql_query(sql).load(connection).unwrap();
    rows.into_iter().map(|row| row.text).collect()
}

/// Returns what every table holds, as text.
pub(crate) fn dump(database: &TestDatabase) -> Vec<String> {
    let mut owner = owner_of(database);
    let tables = query(
        &mut owner,
        "SELECT table_name::text AS text FROM information_schema.tables WHERE table_schema = 'public'",
    );
    assert!(tables.len() >= 5, "{tables:?}");
    let rows = |table: &String| query(&mut owner, &format!("SELECT t::text AS text FROM {table} t"));
    tables.iter().flat_map(rows).collect()
}

fn sealed(database: &TestDatabase) -> Vec<String> {
    query(&mut owner_of(database), "SELECT sealed::text AS text FROM function_secrets ORDER BY id")
}

/// Returns the contents of all files below a directory.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let of = |entry: fs::DirEntry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path())
        } else if kind.is_file() {
            vec![fs::read(entry.path()).unwrap()]
        } else {
            Vec::new()
        }
    };
    entries.flat_map(of).collect()
}

fn holds(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
