use std::process::Output;

use serde_json::Value;
use slipway_end_to_end::{Mode, Platform};

use crate::support::sign_in;

const PACKAGE: &str = r#"{"type": "module", "dependencies": {"tiny": "file:./tiny"}}"#;
const TINY: &str = r#"{"name": "tiny", "version": "1.0.0", "type": "module", "main": "index.js"}"#;

#[tokio::test]
async fn the_command_line_shows_a_build_to_people_and_its_end_to_programs() {
    let mut platform = Platform::start(Mode::Separate).await;
    sign_in(&platform, "admin");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    std::fs::create_dir(folder.path().join("tiny")).unwrap();
    write("package.json", PACKAGE);
    write("tiny/package.json", TINY);
    write("tiny/index.js", "export const value = 7;");
    write("index.mjs", "import {value} from 'tiny';\nexport default () => value;");
    let deploy = |options: &[&str]| {
        let mut command = platform.slipway("admin");
        command.args(["deploy", "--name", "hello"]).args(options).arg(folder.path()).output().unwrap()
    };
    let told = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();

    let built = deploy(&[]);
    let shown = told(&built);
    assert!(built.status.success(), "{shown}");
    let step = |text: &str| shown.lines().position(|line| line.starts_with(text)).expect(text);
    assert!(step("uploading") < step("  | $ ") && step("  | $ ") < step("  | packing the image"), "{shown}");

    write("index.mjs", "import {value} from 'nothing-of-that-name';");
    let failed = deploy(&[]);
    let shown = told(&failed);
    assert_eq!(failed.status.code(), Some(1), "{shown}");
    let said = shown.lines().filter(|line| line.starts_with("  | ") && line.contains("nothing-of-that-name"));
    assert!(said.count() > 0, "{shown}");
    assert!(shown.contains("version 2 could not be built"), "{shown}");

    let failed = deploy(&["--json"]);
    let error: Value = serde_json::from_slice(&failed.stderr).unwrap();
    assert!(
        error["error"].as_str().unwrap().contains("\nthe same dependencies were installed before"),
        "{error:#}"
    );
    platform.stop();
}
