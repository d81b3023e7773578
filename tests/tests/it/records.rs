use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use slipway_end_to_end::{Mode, Platform};

use crate::support::{sign_in, succeeds};

#[tokio::test]
async fn the_command_line_follows_a_log_to_its_end_and_shows_figures() {
    let mut platform = Platform::start(Mode::Separate).await;
    sign_in(&platform, "admin");
    let folder = tempfile::tempdir().unwrap();
    let slipway = |arguments: &[&str]| {
        let mut command = platform.slipway("admin");
        command.current_dir(folder.path()).args(arguments);
        command
    };
    succeeds(&mut slipway(&["--json", "init", "python", "hello"]));
    succeeds(&mut slipway(&["--json", "deploy", "hello"]));
    let follow = ["--json", "logs", "--follow", "hello", "--since", "1h"];
    let mut following = slipway(&follow).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();

    let answer = succeeds(&mut slipway(&["--json", "invoke", "hello", "--data", r#"{"name": "Ada"}"#]));

    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["execution_id"], answer["execution_id"]);
    let stats = succeeds(&mut slipway(&["--json", "stats", "hello", "--period", "1h"]));
    assert_eq!(stats["totals"]["calls"], 1, "{stats:#}");
    let shown = slipway(&["stats", "hello"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("hello: the last 24 hours") && shown.contains("FROM"), "{shown}");
    succeeds(&mut slipway(&["--json", "delete", "hello", "--yes"]));
    assert!(following.wait().unwrap().success());
    platform.stop();
}
