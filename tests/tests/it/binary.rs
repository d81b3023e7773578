use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use slipway_clients::platform::LogQuery;
use slipway_end_to_end::{Mode, Platform, Project, pack};

use crate::support::{call, client_of, delete, eventually, post_archive, token_of};

/// Builds the function that `slipway init binary` makes, and puts it into a folder.
fn bootstrap() -> Project {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/build-bootstrap");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the function does not build");
    let program = String::from_utf8(output.stdout).unwrap();
    let project = Project::of(&[]);
    std::fs::copy(program.trim_end(), project.path().join("bootstrap")).unwrap();
    project
}

#[tokio::test]
async fn a_program_on_the_public_lambda_runtime_answers_as_it_is() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let project = tokio::task::spawn_blocking(bootstrap).await.unwrap();

    let (status, body) = post_archive(&platform, &token, "greeter", pack(project.path()), None).await;

    assert_eq!((status, &body["function"]["runtime"]), (201, &json!("binary")), "{body:#}");
    let id = body["function"]["id"].as_str().unwrap().parse().unwrap();
    for name in ["Ada", "Grace"] {
        let answer = ada.invoke(id, &call(json!({"name": name}))).await.unwrap();
        assert_eq!(answer.result, json!({"message": format!("Hello, {name}!")}));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let printed = eventually("the lines are recorded", async || {
        let lines = ada.logs(id, &LogQuery::default()).await.unwrap().items;
        let texts: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        (texts.len() >= 2).then_some(texts)
    })
    .await;
    assert!(printed.contains(&"greeting Ada".to_owned()) && printed.contains(&"greeting Grace".to_owned()));
    delete(&ada, &[id]).await;
}
