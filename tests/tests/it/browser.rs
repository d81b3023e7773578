//! What a function's page gets of the platform in a real browser whose user is signed in there: nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use slipway_end_to_end::{Mode, Platform, pack};

use crate::support::{client_of, delete, post_archive, token_of};

/// The ways in which the browser comes to the page: by its address, in a window that a page of the platform opened,
/// and in a frame of such a page.
const WAYS: [&str; 3] = ["alone", "opened", "framed"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Has a browser visit a hostile function of the platform, with these host names; returns what came of it.
async fn attack(settings: &[(&str, &str)], platform_host: &str, functions_host: &str) -> Value {
    let parts = [Path::new("/usr/bin/chromium").to_owned(), folder().join("node_modules/playwright-core")];
    for part in parts {
        assert!(part.exists(), "{} is missing: run scripts/install-packages test", part.display());
    }
    let platform = Platform::start_with(Mode::Standalone, settings).await;
    let token = token_of(&platform, "eve").await;
    let (config, archive) = (json!({ "public": true }), pack(&folder().join("hostile")));
    let (status, body) = post_archive(&platform, &token, "hostile", archive, Some(config)).await;
    assert_eq!(status, 201, "{body:#}");
    let at = |host: &str| platform.gateway().replace("127.0.0.1", host);
    let function = format!("{}{}", at(functions_host), body["function"]["url"].as_str().unwrap());

    let visited =
        Command::new("node").arg(folder().join("attack.mjs")).args([at(platform_host), function]).output();

    let visited = visited.unwrap();
    assert!(visited.status.success(), "{}", String::from_utf8_lossy(&visited.stderr));
    delete(&client_of(&platform, &token), &[body["function"]["id"].as_str().unwrap().parse().unwrap()]).await;
    let report: Value = serde_json::from_slice(&visited.stdout).unwrap();
    check_that_the_attack_is_one(&report["trusted"]);
    for way in WAYS {
        assert_eq!(report[way]["left"], untouched(), "{way}");
    }
    report
}

/// What the platform's origin had before.
fn untouched() -> Value {
    json!({
        "storage": { "planted": "planted" },
        "databases": ["planted"],
        "workers": [],
        "cookies": { "__Host-slipway_access": "planted", "readable": "planted" },
    })
}

/// The same page gets all of it where it is the platform's own: so it could.
fn check_that_the_attack_is_one(trusted: &Value) {
    let got = |attempt: &str| trusted["findings"][attempt]["got"].as_str().unwrap().to_owned();
    for attempt in ["cookies", "local_storage", "indexed_db", "opened", "framed"] {
        assert!(got(attempt).contains("planted"), "{attempt}: {trusted:#}");
    }
    for attempt in ["fetch_page", "fetch_account", "form"] {
        assert!(got(attempt).contains("\"status\""), "{attempt}: {trusted:#}");
    }
    let left = &trusted["left"];
    assert_eq!((&left["cookies"]["theme"], &left["storage"]["eve"]), (&json!("eve"), &json!("1")));
    assert!(
        trusted["posted"][0]["cookie"].as_str().unwrap().contains("__Host-slipway_access"),
        "{trusted:#}"
    );
}

#[tokio::test]
async fn a_page_on_the_platforms_host_runs_no_script_and_posts_nothing() {
    let report = attack(&[], "slipway.localhost", "slipway.localhost").await;
    for way in WAYS {
        assert_eq!(
            (&report[way]["findings"], &report[way]["posted"]),
            (&json!("no script ran"), &json!([])),
            "{way}"
        );
    }
}

#[tokio::test]
async fn a_page_on_a_host_of_its_own_reads_and_sets_nothing_of_the_platform() {
    let host = "functions.localhost";
    let report = attack(&[("FUNCTIONS_HOST", host)], "platform.localhost", host).await;
    for way in WAYS {
        let findings = report[way]["findings"].as_object().unwrap();
        for attempt in [
            "fetch_page",
            "fetch_account",
            "service_worker",
            "platforms_worker",
            "opened",
            "framed",
            "form",
            "opener",
            "parent",
        ] {
            assert!(findings[attempt]["refused"].is_string(), "{way}: {attempt}: {findings:#?}");
        }
        for (attempt, outcome) in findings {
            let got = outcome["got"].as_str().unwrap_or_default();
            assert!(!got.contains("planted") && !got.contains("\"status\""), "{way}: {attempt}: {got}");
        }
        // A form can be sent to anywhere; it takes no cookie along, and says where it comes from.
        for post in report[way]["posted"].as_array().unwrap() {
            assert_eq!(post["cookie"], Value::Null, "{way}");
            assert!(post["origin"].as_str().unwrap().contains(host), "{way}: {post}");
        }
    }
}
