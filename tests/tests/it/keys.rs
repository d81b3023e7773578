//! Secrets and signing keys by the command line, and calls that are signed as the documentation says.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use slipway_end_to_end::{Mode, Platform};

use crate::support::{sign_in, succeeds};

const DOCUMENT: &str = include_str!("../../../proto-docs/writing-a-function.md");

const HANDLER: &str = "
def handle(request, context):
    return {'body': request['body'], 'secrets': [context.env.get(name) for name in ('A', 'B', 'C')]}
";

/// Returns the examples of the section on signed calls that are in a language.
fn examples(language: &str) -> Vec<&'static str> {
    let section =
        DOCUMENT.split("\n## ").find(|section| section.starts_with("Calls that are signed")).unwrap();
    let open = format!("```{language}\n");
    section.split(open.as_str()).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// Runs an example against a function's URL with a key; returns what it prints.
fn run(program: &[&str], example: &str, url: &str, key: &Value) -> Value {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(example).env("URL", url);
    command.env("KEY_ID", key["id"].as_str().unwrap()).env("KEY_SECRET", key["secret"].as_str().unwrap());
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}\n{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a command that is given its input; it must succeed.
fn told(command: &mut Command, input: &str) -> Value {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn secrets_and_signed_calls_work_as_the_documentation_says() {
    let mut platform = Platform::start(Mode::Separate).await;
    sign_in(&platform, "admin");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("till")).unwrap();
    std::fs::write(folder.path().join("till/main.py"), HANDLER).unwrap();
    std::fs::write(folder.path().join("variables"), "# two\nB=\"of a file\"\nexport C=3\n").unwrap();
    let slipway = |arguments: &[&str]| {
        let mut command = platform.slipway("admin");
        command.current_dir(folder.path()).arg("--json").args(arguments);
        command
    };
    let function = succeeds(&mut slipway(&["deploy", "till"]))["function"].clone();
    let url = format!("{}{}", platform.gateway(), function["url"].as_str().unwrap());

    told(&mut slipway(&["secrets", "set", "till", "A"]), "two\nlines\n");
    succeeds(&mut slipway(&["secrets", "set", "till", "--from-env-file", "variables"]));
    let secrets = succeeds(&mut slipway(&["secrets", "list", "till"]));
    let names: Vec<_> =
        secrets.as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["A", "B", "C"]);
    succeeds(&mut slipway(&["secrets", "remove", "till", "C"]));
    assert_eq!(slipway(&["secrets", "remove", "till", "C"]).output().unwrap().status.code(), Some(4));

    let key = succeeds(&mut slipway(&["keys", "create", "till", "--name", "the till's"]));
    let expected = json!({ "body": { "amount": 5 }, "secrets": ["two\nlines", "of a file", null] });
    assert_eq!(run(&["python3", "-c"], examples("python")[0], &url, &key), expected);
    let [shell, container_pub] = examples("bash").try_into().unwrap();
    assert_eq!(run(&["bash", "-euc"], shell, &url, &key), expected);
    let queried = run(&["python3", "-c"], examples("python")[0], &format!("{url}/a%2Fb?q=%C3%A4&q"), &key);
    assert_eq!(queried, expected);
    let other = succeeds(&mut slipway(&["keys", "create", "till", "--scheme", "containerpub"]));
    assert_eq!(run(&["bash", "-euc"], container_pub, &url, &other), expected);
    assert_eq!(run(&["bash", "-euc"], container_pub, &url, &key)["code"], "invalid_signature");
    let runs = succeeds(&mut slipway(&["executions", "till"]));
    let keys: Vec<_> = runs.as_array().unwrap().iter().map(|run| &run["signing_key_id"]).collect();
    assert_eq!(keys, [&other["id"], &key["id"], &key["id"], &key["id"]]);

    succeeds(&mut slipway(&["keys", "remove", "till", key["id"].as_str().unwrap()]));
    assert_eq!(run(&["bash", "-euc"], shell, &url, &key)["code"], "invalid_signature");
    let listed = succeeds(&mut slipway(&["keys", "list", "till"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &other["id"]));
    assert_eq!((&listed[0]["secret"], &listed[0]["scheme"]), (&Value::Null, &json!("containerpub")));
    succeeds(&mut slipway(&["delete", "till", "--yes"]));
    platform.stop();
}
