//! Hostile names and values in every field that reaches a file, an image or a Containerfile.

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::harness::{TestRunner, file, form, problem, zip_of};

/// Names that a shell, a Containerfile, tar or Podman could take for something else.
const FILES: [&str; 16] = [
    "--chown=1000:1000",
    "-rf",
    ".containerignore",
    ".dockerignore",
    "Containerfile",
    "Dockerfile",
    "$(touch evil)",
    "`id`",
    "a b",
    "a\nRUN id",
    "back\\slash",
    "quote\"s'",
    "${PATH}",
    "*",
    "ключ-鍵-🔑",
    "app/FROM scratch",
];

const LISTING: &str = r#"
import os

def handle(request, context):
    found = [os.path.relpath(os.path.join(folder, name), "/app") for folder, _, names in os.walk("/app") for name in names]
    return {"files": found, "env": context.env, "process": {name: os.environ[name] for name in context.env}}
"#;

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in FILES.iter().map(|name| (*name, "**\n")).chain([("main.py", LISTING)]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn files_and_settings_of_hostile_names_reach_the_handler_as_they_are() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let env = json!({
        "_": "plain",
        "QUOTES": "\"'`$(id)`",
        "LINES": "a\nRUN id\r\nENTRYPOINT [\"sh\"]\n",
        "UNICODE": "\u{202e}ключ",
        "LD_PRELOAD_": "/app/evil.so",
        "EMPTY": "",
    });
    let form = form("names", archive()).text("config", json!({"env": env}).to_string());
    let answer = runner.send_form(form, "?wait=true", &ada).await;
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 201, "{body:#}");

    let path = format!("/api/v1/functions/{}/invoke", body["function"]["id"].as_str().unwrap());
    let answer = runner.request(Method::POST, &path, &ada).json(&json!({})).send().await.unwrap();
    let result = answer.json::<Value>().await.unwrap()["result"].take();
    let mut expected: Vec<&str> = FILES.into_iter().chain(["main.py"]).collect();
    let mut found: Vec<&str> =
        result["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!((&result["env"], &result["process"]), (&env, &env));
}

#[tokio::test]
async fn names_that_are_none_are_refused_by_their_field() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let archive = || zip_of(&[("main.py", "def handle(request, context): return 1")]);
    let long = "a".repeat(64);
    for name in
        ["", "..", "../x", "a/b", "-a", "--help", "a b", "A", "1a", "a_b", "a.b", "ü", "a\nb", "$(id)", &long]
    {
        let (status, code, detail) = problem(runner.send_form(form(name, archive()), "", &ada).await).await;
        assert_eq!((status, code.as_str()), (422, "validation_failed"), "{name:?}");
        assert!(detail.starts_with("/name: "), "{name:?}: {detail}");
    }
    for name in ["", "A=B", "A B", "1A", "A-B", "A\nB", "ü", "A\u{0}", &"A".repeat(129)] {
        let config = json!({"env": {name: "secret-value"}}).to_string();
        let answer = runner.send_form(form("fine", archive()).text("config", config), "", &ada).await;
        let (status, code, detail) = problem(answer).await;
        assert_eq!((status, code.as_str()), (422, "validation_failed"), "{name:?}");
        assert!(detail.starts_with("/config/env/") && !detail.contains("secret-value"), "{name:?}: {detail}");
    }
    let config = json!({"env": {"A": "secret\u{0}value"}}).to_string();
    let answer = runner.send_form(form("fine", archive()).text("config", config), "", &ada).await;
    assert_eq!(problem(answer).await.2, "/config/env/A: must not hold a NUL");
    let by_id = Form::new().text("function_id", "x\n").part("archive", file(archive()));
    assert_eq!(problem(runner.send_form(by_id, "", &ada).await).await.0, 422);
    assert_eq!(runner.read("/api/v1/functions", &ada).await["items"], json!([]));
}

#[tokio::test]
async fn manifests_cannot_name_runtimes_and_files_outside_of_the_archive() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    for (manifest, expected) in [
        ("runtime = \"python AS x\\nRUN id\"", "slipway.toml: line 1: unknown variant"),
        ("runtime = \"../python\"", "slipway.toml: line 1: unknown variant"),
        ("entry = \"../main.py\"", "slipway.toml: the entry \"../main.py\" is no file in the archive"),
        ("entry = \"/etc/passwd\"", "slipway.toml: the entry \"/etc/passwd\" is no file in the archive"),
        ("entry = \"main.py\\u0000\"", "slipway.toml: the entry \"main.py\\0\" is no file in the archive"),
        (
            "[config.env]\n\"A\\nRUN id\" = \"x\"",
            "/slipway.toml/config/env/A\nRUN id: must be a name of letters",
        ),
    ] {
        let archive =
            zip_of(&[("main.py", "def handle(request, context): return 1"), ("slipway.toml", manifest)]);
        let (status, _, detail) = problem(runner.try_deploy("hello", archive, &ada).await).await;
        assert_eq!(status, 422, "{manifest}: {detail}");
        assert!(detail.starts_with(expected), "{manifest}: {detail}");
    }
    assert_eq!(runner.state("builds"), Vec::<String>::new());
    assert_eq!(runner.images().await, Vec::<String>::new());
}

#[tokio::test]
async fn dependencies_from_outside_of_the_archive_fail_the_build_and_are_named() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let python = |requirements| {
        zip_of(&[("main.py", "def handle(request, context): return 1"), ("requirements.txt", requirements)])
    };
    let node = |package| zip_of(&[("index.mjs", "export default () => 1"), ("package.json", package)]);
    for (archive, expected) in [
        (python("-r ../../outside.txt"), "outside.txt"),
        (python("-e ../outside"), "outside"),
        (python("x @ file:///app/../outside-1.0-py3-none-any.whl"), "outside-1.0"),
        (python("x && id"), "x && id"),
        (node(r#"{"dependencies":{"x":"file:../../outside.tgz"}}"#), "outside.tgz"),
        (node(r#"{"dependencies":{"../../evil":"1.0.0"}}"#), "../../evil"),
    ] {
        let (status, code, detail) = problem(runner.try_deploy("hello", archive, &ada).await).await;
        assert_eq!((status, code.as_str()), (422, "build_failed"), "{detail}");
        assert!(detail.contains(expected), "{expected}: {detail}");
    }
    assert_eq!(runner.images().await, Vec::<String>::new());
}
