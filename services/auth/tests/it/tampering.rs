//! What a superuser of the database can do to the audit log, and what is found of it.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::TestAuth;
use crate::trail::{Trail, events, eventually};

/// An auth that signs heads, with a log of forty rows whose last is in a signed head.
async fn forty_rows(directory: &TempDir) -> (TestAuth, Trail) {
    let file = heads_file(directory.path());
    let settings = [("AUDIT_HEADS_FILE", file.as_str()), ("AUDIT_HEADS_EVERY_SECONDS", "1")];
    let auth = TestAuth::start_with(&settings).await;
    let trail = Trail::of(&auth);
    trail.tell(&auth, "functions", &events(39)).await;
    eventually("the head is signed", async || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"seq\":40,"))
    })
    .await;
    let found = trail.verify().await;
    assert_eq!(
        (&found["valid"], &found["checked"], &found["first_bad"]),
        (&json!(true), &json!(40), &Value::Null)
    );
    assert_eq!(found["head"]["seq"], 40);
    (auth, trail)
}

fn heads_file(directory: &Path) -> String {
    directory.join("heads.jsonl").to_str().unwrap().to_owned()
}

/// Starts another auth on the same database and keys, as after a restart.
async fn restarted(auth: &TestAuth, heads_file: Option<&str>) -> (TestAuth, Trail) {
    let (url, owner_url) = (auth.database.url(), auth.database.owner_url());
    let mut settings = vec![
        ("AUTH_DATABASE_URL", url.expose()),
        ("AUTH_DATABASE_OWNER_URL", owner_url.expose()),
        ("KEYS_DIR", auth.callers.keys_dir().to_str().unwrap()),
    ];
    settings.extend(heads_file.map(|file| ("AUDIT_HEADS_FILE", file)));
    let again = TestAuth::start_with(&settings).await;
    let trail = Trail::at(&again.base, &auth.callers);
    (again, trail)
}

async fn first_bad(trail: &Trail) -> (i64, String) {
    let found = trail.verify().await;
    assert_eq!(found["valid"], false, "{found:#}");
    let bad = &found["first_bad"];
    (bad["seq"].as_i64().unwrap(), bad["reason"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn whatever_is_changed_in_a_row_is_found_and_the_row_named() {
    let directory = tempfile::tempdir().unwrap();
    let (auth, trail) = forty_rows(&directory).await;
    for change in [
        "details = '{}'",
        "details = details || ' '",
        "action = 'function.delete'",
        "actor_type = 'service', actor_id = 'auth'",
        "at = at - interval '1 microsecond'",
        "recorded_at = recorded_at + interval '1 day'",
        "address = NULL",
        "service = 'vault'",
        "event_id = gen_random_uuid()",
        "hash = (SELECT hash FROM audit_log WHERE seq = 16)",
    ] {
        let mut superuser = auth.database.superuser();
        superuser.batch_execute("CREATE TABLE kept AS SELECT * FROM audit_log WHERE seq = 17").unwrap();
        superuser.batch_execute(&format!("UPDATE audit_log SET {change} WHERE seq = 17")).unwrap();
        let found = trail.verify().await;
        assert_eq!(found["valid"], false, "{change}");
        assert_eq!(found["checked"], 16, "{change}");
        assert_eq!(found["head"]["seq"], 16, "{change}");
        assert_eq!(
            (&found["first_bad"]["seq"], &found["first_bad"]["reason"]),
            (&json!(17), &json!("changed"))
        );
        superuser
            .batch_execute(
                "DELETE FROM audit_log WHERE seq = 17; INSERT INTO audit_log SELECT * FROM kept; DROP TABLE kept",
            )
            .unwrap();
        assert_eq!(trail.verify().await["valid"], true, "as it was before: {change}");
    }
}

#[tokio::test]
async fn rows_that_were_taken_from_the_middle_are_found_and_the_first_named() {
    let directory = tempfile::tempdir().unwrap();
    let (auth, trail) = forty_rows(&directory).await;
    let mut superuser = auth.database.superuser();
    superuser.batch_execute("DELETE FROM audit_log WHERE seq BETWEEN 20 AND 25").unwrap();
    assert_eq!(first_bad(&trail).await, (20, "missing".to_owned()));
    superuser.batch_execute("UPDATE audit_log SET seq = seq - 6 WHERE seq > 25").unwrap();
    assert_eq!(first_bad(&trail).await, (20, "changed".to_owned()));
}

#[tokio::test]
async fn a_tail_that_was_cut_is_found_and_its_first_row_named_even_after_the_log_went_on() {
    let directory = tempfile::tempdir().unwrap();
    let (auth, trail) = forty_rows(&directory).await;
    auth.database.superuser().batch_execute("DELETE FROM audit_log WHERE seq > 30").unwrap();
    assert_eq!(first_bad(&trail).await, (31, "tail_cut".to_owned()));

    // After a restart, only the signed heads know.
    let file = heads_file(directory.path());
    let (_again, trail) = restarted(&auth, Some(&file)).await;
    assert_eq!(first_bad(&trail).await, (31, "tail_cut".to_owned()));
    assert_eq!(trail.send("functions", &events(1)).await.status(), 204);
    assert_eq!(first_bad(&trail).await, (31, "missing".to_owned()));
    assert_eq!(trail.list("?limit=1").await[0]["seq"], 41, "the gap stays");
}

#[tokio::test]
async fn a_log_that_was_cut_and_filled_up_again_under_the_right_key_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (auth, trail) = forty_rows(&directory).await;
    auth.database.superuser().batch_execute("DELETE FROM audit_log WHERE seq > 30").unwrap();
    let (_forger, forged) = restarted(&auth, None).await;
    assert_eq!(forged.send("functions", &events(15)).await.status(), 204);
    let unaware = forged.verify().await;
    assert_eq!((&unaware["valid"], &unaware["signed_heads"]), (&json!(true), &json!(0)));
    assert_eq!(first_bad(&trail).await, (40, "rewritten".to_owned()));
}

#[tokio::test]
async fn a_signed_head_that_was_changed_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (_auth, trail) = forty_rows(&directory).await;
    let file = heads_file(directory.path());
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"seq\":40,", "\"seq\":39,")).unwrap();
    assert_eq!(first_bad(&trail).await, (39, "head_changed".to_owned()));
}

#[tokio::test]
async fn a_stop_signs_what_was_recorded_last() {
    let directory = tempfile::tempdir().unwrap();
    let file = heads_file(directory.path());
    let settings = [("AUDIT_HEADS_FILE", file.as_str()), ("AUDIT_HEADS_EVERY_SECONDS", "86400")];
    let auth = TestAuth::start_with(&settings).await;
    auth.register("ada@example.org").await;
    auth.stop();
    eventually("the head is signed", async || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"seq\":2,"))
    })
    .await;
}
