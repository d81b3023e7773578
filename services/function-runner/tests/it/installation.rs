//! What the installation of dependencies can reach, use and leave.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use slipway_testkit::TestCaller;
use tokio::net::TcpListener;

use crate::harness::{TestRunner, eventually, form, problem, zip_of};
use crate::registry::{HANDLER, NEEDS_TINY, Registry};

/// Returns an address of this host that other hosts see, where it has one.
fn address_of_host() -> Option<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: this asks for the route.
    socket.connect(("198.51.100.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

/// A function whose requirements are a folder of its own, which is built by `backend`.
fn python_with(backend: &str) -> Vec<u8> {
    zip_of(&[
        ("main.py", "def handle(request, context): return 1"),
        ("requirements.txt", "./package"),
        (
            "package/pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = \"hostile\"\nbackend-path = [\".\"]",
        ),
        ("package/hostile.py", backend),
    ])
}

async fn nothing_is_left(runner: &TestRunner) {
    eventually("nothing is left of installations", async || runner.installations().await == 0).await;
}

/// Deploys what cannot be built; returns the log and the refusal's detail.
async fn failed(runner: &TestRunner, name: &str, archive: Vec<u8>, caller: &TestCaller) -> (String, String) {
    let (status, code, detail) = problem(runner.try_deploy(name, archive, caller).await).await;
    assert_eq!((status, code.as_str()), (422, "build_failed"), "{detail}");
    let list = runner.read("/api/v1/functions", caller).await;
    let functions = list["items"].as_array().unwrap();
    let function =
        functions.iter().find(|function| function["name"] == name).unwrap()["id"].as_str().unwrap();
    let deployments = runner.read(&format!("/api/v1/functions/{function}/deployments"), caller).await;
    let id = deployments["items"][0]["id"].as_str().unwrap();
    let log = runner.read(&format!("/api/v1/deployments/{id}/logs"), caller).await;
    (log["log"].as_str().unwrap().to_owned(), detail)
}

#[tokio::test]
async fn what_is_installed_reaches_nothing_of_the_host_and_holds_to_its_limits() {
    let runner = TestRunner::start_with(&[
        ("BUILD_PROCESSES", "100"),
        // On another port than the one that is tried.
        ("BUILD_REGISTRIES", "registry.example:1"),
        ("BUILD_FILES_MB", "32"),
        ("BUILD_TIMEOUT_SECONDS", "120"),
    ])
    .await;
    let ada = runner.person();
    // Listens where a network of the host would lead: on every address.
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = address_of_host();
    let backend = include_str!("hostile.py")
        .replace("@PORT@", &port.to_string())
        .replace("@HOST@", host.as_deref().unwrap_or_default());

    let (log, _) = failed(&runner, "hostile", python_with(&backend), &ada).await;

    let found = |name: &str| {
        let line = log.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} was not tried:\n{log}")).to_owned()
    };
    for target in host.iter().map(String::as_str).chain(["127.0.0.1", "::1", "10.88.0.1", "169.254.169.254"])
    {
        assert!(found(&format!("connect {target}")).starts_with("refused"), "{target}\n{log}");
    }
    for target in host.iter().map(String::as_str).chain(["127.0.0.1", "169.254.169.254", "registry.example"])
    {
        assert_eq!(found(&format!("proxy {target}")), "HTTP/1.1 403 Forbidden", "{target}");
    }
    assert_eq!(found("proxy plain"), "HTTP/1.1 403 Forbidden");
    let refusal = "is not an allowed registry; ask the operator to add it to BUILD_REGISTRIES";
    assert!(log.contains(&format!("registry.example:{port} {refusal}")), "{log}");
    assert_eq!(found("interfaces"), "lo");
    for name in [
        "resolve",
        "sockets",
        "write socket",
        "remove socket",
        "write root",
        "write library",
        "write cgroup",
        "write kernel",
        "images",
    ] {
        assert!(found(name).starts_with("refused"), "{name}\n{log}");
    }
    assert_eq!((found("uid"), found("uid map")), ("1000".to_owned(), "a range".to_owned()));
    assert_eq!(found("capabilities"), "0".repeat(48));
    assert_eq!((found("no new privileges"), found("seccomp")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(found("mount"), "-1");
    assert_eq!(found("first process"), "/usr/local/bin/slipway-install");
    assert_eq!((found("processes"), found("secrets")), ("few".to_owned(), "none".to_owned()));
    assert_eq!(found("fill"), "stopped (28)", "no space is left");
    assert_eq!(found("fork bomb"), "stopped after few");
    nothing_is_left(&runner).await;
}

#[tokio::test]
async fn an_installation_that_takes_too_much_says_what() {
    let runner = TestRunner::start_with(&[
        ("BUILD_MEMORY_MB", "128"),
        ("BUILD_OUTPUT_MB", "1"),
        ("BUILD_TIMEOUT_SECONDS", "20"),
    ])
    .await;
    let ada = runner.person();
    let backend = |work: &str| {
        python_with(&format!("def get_requires_for_build_wheel(config_settings=None):\n    {work}\n"))
    };
    let node = |script: &str| {
        zip_of(&[
            (
                "package.json",
                &json!({"scripts": {"install": script}, "dependencies": {"t": "file:./t"}}).to_string(),
            ),
            ("t/package.json", r#"{"name": "t", "version": "1.0.0"}"#),
            ("index.mjs", "export default () => 1"),
        ])
    };

    let (_, detail) = failed(&runner, "memory", backend("x = bytearray(1 << 30)"), &ada).await;
    assert!(detail.contains("it needs more memory than the 128 MiB that a build has"), "{detail}");
    let (_, detail) =
        failed(&runner, "output", node("head -c 2000000 /dev/zero > node_modules/large"), &ada).await;
    assert!(detail.contains("the dependencies take more than 1 MiB"), "{detail}");
    let (_, detail) = failed(&runner, "devices", node("mkfifo node_modules/pipe"), &ada).await;
    assert!(detail.contains("what they leave cannot be used: the entry \"node_modules/pipe\""), "{detail}");
    let (_, detail) = failed(&runner, "endless", backend("import time; time.sleep(3600)"), &ada).await;
    assert!(detail.contains("installing the dependencies took longer than 20s"), "{detail}");
    assert_eq!(runner.images().await, Vec::<String>::new());
    nothing_is_left(&runner).await;
}

#[tokio::test]
async fn where_no_registry_is_allowed_what_needs_one_fails_and_names_the_setting() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let python =
        zip_of(&[("main.py", "def handle(request, context): return 1"), ("requirements.txt", "tiny==1.0")]);
    let node =
        zip_of(&[HANDLER, ("package.json", r#"{"type": "module", "dependencies": {"tiny": "1.0.0"}}"#)]);
    for (name, archive) in [("python", python), ("node", node)] {
        let (log, detail) = failed(&runner, name, archive, &ada).await;
        let said = "no package registry is allowed here; ask the operator to name some in BUILD_REGISTRIES";
        assert!(detail.starts_with("the dependencies were not installed: "), "{detail}");
        assert!(detail.lines().next().unwrap().contains(said), "{detail}");
        assert!(log.contains(said), "{log}");
    }
    nothing_is_left(&runner).await;
}

#[tokio::test]
async fn where_only_a_proxy_leads_out_dependencies_are_installed_through_it() {
    let (registry, proxy) = Registry::start_behind_proxy().await;
    let settings = [("BUILD_REGISTRIES", registry.address.as_str()), ("HTTP_PROXY", &proxy)];
    let runner = TestRunner::start_with(&settings).await;
    let function = registry.function();
    let files: Vec<_> = function.iter().map(|(name, text)| (*name, text.as_str())).collect();

    runner.deploy("tiny", &files, &runner.person()).await;

    assert_eq!(registry.fetched(), 1);
}

#[tokio::test]
async fn a_change_of_the_code_installs_nothing_anew() {
    let registry = Registry::start().await;
    let runner = TestRunner::start_with(&[("BUILD_REGISTRIES", &registry.address)]).await;
    let (ada, eve) = (runner.person(), runner.person());
    let npmrc = registry.npmrc();
    let deploy = async |caller: &TestCaller, npmrc: &str, extra: &str| {
        let files = [HANDLER, ("package.json", NEEDS_TINY), (".npmrc", npmrc), ("extra.mjs", extra)];
        let answer: Value = runner.deploy("tiny", &files, caller).await;
        let id = answer["deployment"]["id"].as_str().unwrap();
        runner.read(&format!("/api/v1/deployments/{id}/logs"), caller).await["log"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    let log = deploy(&ada, &npmrc, "1").await;
    assert!(log.contains("npm install"), "{log}");
    assert_eq!(registry.fetched(), 1);
    let log = deploy(&ada, &npmrc, "2").await;
    assert_eq!(log, "the same dependencies were installed before: they are taken\npacking the image\n");
    assert_eq!(registry.fetched(), 1);

    deploy(&ada, &format!("{npmrc}# changed\n"), "2").await;
    assert_eq!(registry.fetched(), 2, "what npm is told has changed");
    deploy(&eve, &npmrc, "2").await;
    assert_eq!(registry.fetched(), 3, "nothing is shared between owners");
}

#[tokio::test]
async fn a_runner_that_stops_while_containers_are_created_leaves_none() {
    let mut stopped = Vec::new();
    for moment in 0..10 {
        let runner = TestRunner::start_with(&[("BUILDS_AT_A_TIME", "8")]).await;
        let deploy = async |number: u32| {
            let endless = python_with(&format!("import time; time.sleep(3600 + {number})"));
            // Each of an owner of its own, who would else wait for a turn.
            let answer = runner.send_form(form("endless", endless), "", &runner.person()).await;
            assert_eq!(answer.status(), 202);
        };
        join_all((0..8).map(deploy)).await;
        // At another stage of them each time; whichever it is, nothing may be left.
        tokio::time::sleep(Duration::from_millis(moment * 20)).await;
        stopped.push(runner.stop());
    }
    // After all of them: what Podman goes on creating for one that is gone is there by now.
    for surroundings in stopped {
        assert_eq!(surroundings.containers().await, []);
    }
}
