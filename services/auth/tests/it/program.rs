use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_auth::MIGRATIONS;
use slipway_testkit::{Callers, TestDatabase, fixed_clock};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::install_access_key;

/// Starts the program without a password for the superuser; returns it and where it serves, once it does.
pub(crate) async fn start(database: &TestDatabase, callers: &Callers) -> (Child, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_slipway-auth"))
        .env_clear()
        .env("AUTH_DATABASE_URL", database.url().expose())
        .env("AUTH_PORT", "0")
        .env("AUTH_OPERATIONS_PORT", "0")
        .env("KEYS_DIR", callers.keys_dir())
        .env("LOG_FORMAT", "json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(address) = line["server.address"].as_str() {
            return (program, format!("http://{address}"));
        }
    }
}

/// Kills the program and returns what it showed beside its log.
async fn shown(mut program: Child) -> String {
    program.kill().await.unwrap();
    let mut text = String::new();
    program.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_superusers_password_that_was_made_up_is_shown_once_and_opens_the_account() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let callers = Callers::of("auth", fixed_clock());
    install_access_key(&callers);
    let both = async {
        let (program, _) = start(&database, &callers).await;
        let text = shown(program).await;
        let password = text.split(' ').skip_while(|word| *word != "password").nth(1).unwrap();

        let (program, base) = start(&database, &callers).await;
        let login = json!({"username": "admin", "password": password});
        let client = reqwest::Client::builder().build().unwrap();
        let answer = client.post(format!("{base}/api/v1/auth/login")).json(&login).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(shown(program).await, "");
    };
    tokio::time::timeout(Duration::from_mins(2), both).await.unwrap();
}
