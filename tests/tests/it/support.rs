use std::process::Command;

use serde_json::{Value, json};
use slipway_clients::platform::Client;
pub(crate) use slipway_end_to_end::eventually;
use slipway_end_to_end::{ADMIN_PASSWORD, Platform, Project, pack};
use slipway_kernel::FunctionId;
use slipway_models::functions::InvokeRequest;
use slipway_runtime::{ContainerRuntime as _, PodmanConfig, PodmanRuntime};
use slipway_testkit::required_setting;

/// Whether Podman runs without root here: all instances share the ids of one user then, and none has a network.
pub(crate) async fn is_rootless() -> bool {
    let socket = required_setting("SLIPWAY_TEST_PODMAN_SOCKET");
    PodmanRuntime::new(PodmanConfig::new(socket)).report().await.unwrap().rootless
}

/// A call with a JSON body.
pub(crate) fn call(body: Value) -> InvokeRequest {
    InvokeRequest { body: Some(body), ..InvokeRequest::default() }
}

/// Runs the command line and returns what it printed; it must succeed.
pub(crate) fn succeeds(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(&stdout).unwrap_or(Value::Null)
}

/// Signs the first superuser in by the command line.
pub(crate) fn sign_in(platform: &Platform, person: &str) {
    let mut login = platform.slipway(person);
    login.args(["login", platform.gateway(), "--user", "admin", "--password-stdin"]);
    login.stdin(password_file()).stdout(std::process::Stdio::null());
    let status = login.status().unwrap();
    assert!(status.success(), "login: {status}");
}

fn password_file() -> std::fs::File {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().unwrap();
    writeln!(file, "{ADMIN_PASSWORD}").unwrap();
    file.rewind().unwrap();
    file
}

/// Deploys an archive over plain HTTP and waits for the outcome; returns the status and the body.
pub(crate) async fn post_archive(
    platform: &Platform,
    token: &str,
    name: &str,
    archive: Vec<u8>,
    config: Option<Value>,
) -> (u16, Value) {
    let part = reqwest::multipart::Part::bytes(archive).file_name("function.tar.gz");
    let mut form = reqwest::multipart::Form::new().text("name", name.to_owned());
    if let Some(config) = config {
        form = form.text("config", config.to_string());
    }
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.post(format!("{}/api/v1/functions/deploy?wait=true", platform.gateway()));
    let answer = request.bearer_auth(token).multipart(form.part("archive", part)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A person's token, for requests that no well-behaved client makes.
pub(crate) async fn token_of(platform: &Platform, name: &str) -> String {
    let client = reqwest::Client::builder().build().unwrap();
    let account = json!({"email": format!("{name}@example.org"), "password": ADMIN_PASSWORD});
    let post = |path: &str| client.post(format!("{}/api/v1/auth/{path}", platform.gateway())).json(&account);
    post("register").send().await.unwrap();
    let tokens: Value = post("login").send().await.unwrap().json().await.unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// The first superuser's token.
pub(crate) async fn admin_token(platform: &Platform) -> String {
    let login = slipway_models::auth::LoginRequest {
        username: Some("admin".to_owned()),
        password: Some(ADMIN_PASSWORD.to_owned()),
        ..Default::default()
    };
    platform.anonymous().login(&login).await.unwrap().access_token
}

/// Deploys a Python function and returns its id; it must become active.
pub(crate) async fn deploy(platform: &Platform, token: &str, name: &str, main: &str) -> FunctionId {
    deploy_with(platform, token, name, main, None).await
}

/// Deploys a Python function with a configuration of its own.
pub(crate) async fn deploy_with(
    platform: &Platform,
    token: &str,
    name: &str,
    main: &str,
    config: Option<Value>,
) -> FunctionId {
    let (status, body) =
        post_archive(platform, token, name, pack(Project::python(main).path()), config).await;
    assert_eq!(status, 201, "{body:#}");
    body["function"]["id"].as_str().unwrap().parse().unwrap()
}

/// Deletes functions, so that no image of theirs is left.
pub(crate) async fn delete(client: &Client, functions: &[FunctionId]) {
    for id in functions {
        client.delete_function(*id).await.unwrap();
    }
}

/// A client that carries a token.
pub(crate) fn client_of(platform: &Platform, token: &str) -> Client {
    platform.anonymous().with_token(slipway_config::Secret::new(token))
}
