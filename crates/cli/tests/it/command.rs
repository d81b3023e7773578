use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Home;

#[test]
fn the_help_documents_the_exit_statuses() {
    let help = Home::new().run(["--help"]);
    assert_eq!(help.status(), 0);
    for line in ["1    the function failed", "3    not signed in", "6    the platform cannot be reached"] {
        assert!(help.stdout().contains(line), "{}", help.stdout());
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["invoke"],
        &["invoke", "hello", "--header", "no-colon"],
        &["invoke", "hello", "--query", "no-equals"],
        &["invoke", "hello", "--wait"],
        &["rollback", "hello", "latest"],
        &["cancel", "../etc"],
        &["replay"],
        &["logs", "hello", "--since", "yesterday"],
        &["logs", "hello", "--execution", "../etc"],
        &["login", "--password", "hunter2"],
        &["secrets"],
        &["secrets", "set", "hello"],
        &["secrets", "set", "hello", "TOKEN", "hunter2"],
        &["secrets", "set", "hello", "TOKEN=hunter2"],
        &["secrets", "set", "hello", "TOKEN", "--from-env-file", "x"],
        &["secrets", "remove", "hello", "../x"],
        &["keys", "create", "hello", "--scheme", "md5"],
        &["keys", "remove", "hello", "../x"],
    ] {
        let status = home.command(arguments).output().unwrap().status;
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn faults_of_the_body_are_found_before_the_platform_is_asked() {
    let home = Home::new();
    for (data, status, message) in [
        ("hello", 2, "the body is not JSON"),
        ("", 2, "the body is not JSON"),
        ("-", 2, "the body is not JSON"),
        ("@nowhere.json", 7, "nowhere.json: No such file"),
    ] {
        let failed = home.run(["invoke", "hello", "--data", data]);
        assert_eq!(failed.status(), status, "{}", failed.stderr());
        assert!(failed.stderr().contains(message), "{}", failed.stderr());
    }
    let twice = home.run(["invoke", "hello", "--query", "a=1", "--query", "a=2"]);
    assert!(twice.stderr().contains("the query parameter a is given twice"), "{}", twice.stderr());
}

#[test]
fn faults_of_secrets_are_found_before_the_platform_is_asked_and_repeat_no_value() {
    let home = Home::new();
    std::fs::write(home.path("env"), "A=1\nB hunter2\n").unwrap();
    std::fs::write(home.path("binary"), [b'A', b'=', 0xff]).unwrap();
    for (file, status, message) in [
        ("env", 2, "env: line 2: expected NAME=VALUE"),
        ("-", 2, "-: it holds no NAME=VALUE"),
        ("binary", 7, "binary: stream did not contain valid UTF-8"),
        ("nowhere", 7, "nowhere: No such file"),
        (".", 7, ".: Is a directory"),
    ] {
        let failed = home.run(["secrets", "set", "hello", "--from-env-file", file]);
        assert_eq!(failed.status(), status, "{}", failed.stderr());
        assert!(failed.stderr().contains(message), "{}", failed.stderr());
        assert!(!failed.stderr().contains("hunter2"), "{}", failed.stderr());
    }
    let failed = home.run(["secrets", "set", "hello", "EMPTY"]);
    assert_eq!((failed.status(), failed.stderr()), (2, "error: the value is empty\n"));
    let failed = home.run(["secrets", "set", "hello", "lower"]);
    assert!(failed.stderr().contains("the name of a secret starts with"), "{}", failed.stderr());
}

#[test]
fn faults_of_the_folder_are_found_before_the_platform_is_asked() {
    let home = Home::new();
    std::fs::write(home.path("file"), "").unwrap();
    std::fs::create_dir(home.path("Bad Name")).unwrap();
    for (folder, status, message) in [
        ("nowhere", 7, "nowhere: No such file"),
        ("file", 2, "file is no folder"),
        ("Bad Name", 2, "slipway deploy --name NAME"),
    ] {
        let failed = home.run(["deploy", folder]);
        assert_eq!(failed.status(), status, "{}", failed.stderr());
        assert!(failed.stderr().contains(message), "{}", failed.stderr());
    }
}

#[test]
fn a_reader_that_went_away_is_no_error_to_talk_about() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = home.command(["init", "python", "hello"]).stdout(writer).spawn().unwrap();
    let finished = child.wait_with_output().unwrap();
    assert_eq!(finished.status.code(), Some(141));
    assert_eq!(finished.stderr, b"");
}

#[test]
fn an_interrupted_command_ends_at_once_and_says_so() {
    let home = Home::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut login = home.command(["login", &url, "--user", "ada"]);
    let child = login.env("SLIPWAY_PASSWORD", "x").spawn().unwrap();
    // Its request is under way, and nobody will answer.
    let (mut connection, _) = silent.accept().unwrap();
    connection.read_exact(&mut [0; 1]).unwrap();

    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let finished = child.wait_with_output().unwrap();

    assert_eq!(finished.status.code(), Some(130));
    assert_eq!(finished.stderr, b"error: interrupted\n");
}

#[test]
fn errors_are_json_for_scripts() {
    let home = Home::new();
    let failed = home.run(["--json", "list"]);
    assert_eq!((failed.status(), failed.stdout()), (3, ""));
    let error: Value = serde_json::from_str(failed.stderr()).unwrap();
    assert_eq!(
        error,
        json!({ "error": "not signed in", "exit_status": 3, "hint": "run: slipway login", "problem": null })
    );
}

#[test]
fn questions_are_not_asked_where_nobody_can_answer() {
    let home = Home::new();
    let login = home.run(["login", "http://127.0.0.1:1"]);
    assert_eq!(login.status(), 2);
    assert!(login.stderr().contains("there is no terminal to ask on: give --user"), "{}", login.stderr());
    let login = home.run(["login", "http://127.0.0.1:1", "--user", "ada"]);
    assert_eq!(login.status(), 2);
    assert!(login.stderr().contains("--password-stdin"), "{}", login.stderr());
    let empty = home
        .command(["login", "http://127.0.0.1:1", "--user", "ada", "--password-stdin"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(empty.status.code(), Some(2));
}
