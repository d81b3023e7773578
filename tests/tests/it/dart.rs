use serde_json::json;
use slipway_end_to_end::{Mode, Platform};

use crate::support::{sign_in, succeeds};

#[tokio::test]
async fn a_dart_function_of_init_is_compiled_called_and_compiled_anew() {
    let platform = Platform::start(Mode::Standalone).await;
    sign_in(&platform, "admin");
    let folder = tempfile::tempdir().unwrap();
    let slipway = |arguments: &[&str]| {
        let mut command = platform.slipway("admin");
        command.current_dir(folder.path()).arg("--json").args(arguments);
        command
    };
    succeeds(&mut slipway(&["init", "dart", "say-hello"]));
    succeeds(&mut slipway(&["deploy", "say-hello"]));

    let answer = succeeds(&mut slipway(&["invoke", "say-hello", "--data", r#"{"name": "Ada"}"#]));

    assert_eq!((&answer["success"], &answer["result"]), (&json!(true), &json!({ "message": "Hello, Ada!" })));
    let execution = answer["execution_id"].as_str().unwrap();
    let logs =
        platform.slipway("admin").args(["logs", "say-hello", "--execution", execution]).output().unwrap();
    let printed = String::from_utf8(logs.stdout).unwrap();
    assert!(printed.contains("greeting Ada"), "{printed}");

    let main = folder.path().join("say-hello/main.dart");
    let changed = std::fs::read_to_string(&main).unwrap().replace("Hello", "Goodbye");
    std::fs::write(&main, changed).unwrap();
    succeeds(&mut slipway(&["deploy", "say-hello"]));
    let answer = succeeds(&mut slipway(&["invoke", "say-hello"]));
    assert_eq!(answer["result"], json!({ "message": "Goodbye, world!" }));
    succeeds(&mut slipway(&["delete", "say-hello", "--yes"]));
}
