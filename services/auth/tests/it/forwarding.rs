//! How events of other services come onto the audit log: none is lost and none is there twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use slipway_audit::{Action, AuditConfig, Event, Forwarder};
use slipway_auth::MIGRATIONS;
use slipway_config::{Reader, Settings};
use slipway_db::{Database, DbError};
use slipway_jwt::IdentitySigner;
use slipway_kernel::{Clock as _, Origin, SealedAddress, SystemClock};
use slipway_models::audit::{AuditActor, ORIGIN};
use slipway_sealing::AddressSeal;
use slipway_telemetry::Metrics;
use slipway_testkit::{Callers, TestDatabase};
use tokio_util::sync::CancellationToken;

use crate::harness::{PASSWORD, TestAuth, install_access_key};
use crate::program::start;
use crate::trail::{Trail, count, dump, eventually};

/// Another service: its database, and what carries its events.
struct Told {
    name: &'static str,
    database: TestDatabase,
    db: Database,
}

impl Told {
    fn new(name: &'static str) -> Self {
        // Any service's will do: each has the outbox.
        let database = TestDatabase::create("auth", MIGRATIONS);
        let db = Database::new(&database.config(), &Metrics::new(name).unwrap()).unwrap();
        Self { name, database, db }
    }

    fn forwarder(&self, auth: &TestAuth) -> Forwarder {
        let settings = Settings::from_pairs([("AUTH_URL", auth.base.as_str())]);
        let mut reader = Reader::new(&settings);
        let config = AuditConfig::read(&mut reader);
        reader.finish().unwrap();
        let (keys, clock) = (auth.callers.keys_dir(), auth.clock.clone());
        let signer = IdentitySigner::load_or_create(keys, self.name.parse().unwrap(), clock).unwrap();
        let seal = self.seal(auth);
        Forwarder::new(self.db.clone(), &config, Arc::new(signer), "auth".parse().unwrap(), seal).unwrap()
    }

    fn seal(&self, auth: &TestAuth) -> AddressSeal {
        AddressSeal::load_or_create(auth.callers.keys_dir(), &format!("{}-audit", self.name)).unwrap()
    }

    async fn record(&self, number: usize) -> Result<(), DbError> {
        let event = Event::new(Action::FUNCTION_DEPLOY, AuditActor::Anonymous, SystemClock.now());
        let event = event.on("function", &format!("{}-{number}", self.name));
        self.db.transaction("test.record", move |connection| slipway_audit::record(connection, event)).await
    }
}

#[tokio::test]
async fn of_a_hundred_events_of_two_services_none_is_lost_and_none_is_there_twice() {
    let auth = TestAuth::start().await;
    let trail = Trail::of(&auth);
    let services = ["functions", "vault"].map(|name| Arc::new(Told::new(name)));
    let stop = CancellationToken::new();
    for told in &services {
        // Two at a time, as of two replicas: both tell the same.
        for _ in 0..2 {
            tokio::spawn(told.forwarder(&auth).run(stop.clone()));
        }
    }
    let recorded: Vec<_> = (0..100)
        .map(|number| {
            let told = Arc::clone(&services[number % 2]);
            tokio::spawn(async move { told.record(number).await })
        })
        .collect();
    for task in recorded {
        task.await.unwrap().unwrap();
    }
    for told in &services {
        eventually("all is told", async || count(&told.database, "audit_outbox") == 0).await;
    }
    stop.cancel();

    trail.reaches(101).await;
    let found = trail.verify().await;
    assert_eq!((&found["valid"], &found["checked"]), (&json!(true), &json!(101)));
    let rows = trail.list("?action=function.deploy&limit=100").await;
    let targets: BTreeSet<&str> = rows.iter().map(|row| row["target"]["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), targets.len()), (100, 100));
    assert!(
        rows.iter().all(|row| {
            row["target"]["id"].as_str().unwrap().starts_with(row["service"].as_str().unwrap())
        })
    );
}

#[tokio::test]
async fn what_was_told_by_a_process_that_was_killed_before_it_noted_that_is_there_once() {
    let auth = TestAuth::start().await;
    let trail = Trail::of(&auth);
    let told = Told::new("functions");
    for number in 0..10 {
        told.record(number).await.unwrap();
    }
    // As the process that was killed told it: auth has it, and it is still in the outbox.
    let outbox = dump(&told.database, "audit_outbox");
    let mut rows = serde_json::Deserializer::from_str(&outbox).into_iter::<Value>();
    let events: Vec<Value> = rows
        .by_ref()
        .take(6)
        .map(|row| serde_json::from_str(row.unwrap()["event"].as_str().unwrap()).unwrap())
        .collect();
    trail.tell(&auth, "functions", &events).await;

    let stop = CancellationToken::new();
    tokio::spawn(told.forwarder(&auth).run(stop.clone()));
    eventually("all is told", async || count(&told.database, "audit_outbox") == 0).await;
    stop.cancel();
    let rows = trail.list("?action=function.deploy").await;
    let numbers: Vec<_> = rows.iter().rev().map(|row| row["target"]["id"].as_str().unwrap()).collect();
    let expected: Vec<_> = (0..10).map(|number| format!("functions-{number}")).collect();
    assert_eq!(numbers, expected, "once, and in order");
    assert_eq!(trail.verify().await["valid"], true);
}

#[tokio::test]
async fn events_wait_for_an_auth_that_is_away() {
    let told = Told::new("functions");
    let first = TestAuth::start().await;
    let stop = CancellationToken::new();
    first.database.stop();
    tokio::spawn(told.forwarder(&first).run(stop.clone()));
    told.record(1).await.unwrap();
    let answer = Trail::of(&first).send("functions", &[]).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(count(&told.database, "audit_outbox"), 1);
    first.database.start();
    eventually("all is told", async || count(&told.database, "audit_outbox") == 0).await;
    stop.cancel();
    assert_eq!(Trail::of(&first).list("?action=function.deploy").await.len(), 1);
}

#[tokio::test]
async fn what_auth_itself_did_before_it_was_killed_is_on_the_log_after_its_next_start() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let callers = Callers::of("auth", Arc::new(SystemClock));
    install_access_key(&callers);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for round in 0..5 {
        let (mut program, base) = start(&database, &callers).await;
        let account = json!({"email": format!("ada-{round}@example.org"), "password": PASSWORD});
        let answer = client.post(format!("{base}/api/v1/auth/register")).json(&account).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        program.kill().await.unwrap();
    }
    let (mut program, base) = start(&database, &callers).await;
    let trail = Trail::at(&base, &callers);
    trail.reaches(6).await;
    assert_eq!(trail.list("?action=auth.register").await.len(), 5);
    assert_eq!(trail.verify().await["valid"], true);
    program.kill().await.unwrap();
}

#[tokio::test]
async fn an_address_waits_sealed_and_arrives() {
    let auth = TestAuth::start().await;
    let trail = Trail::of(&auth);
    let told = Told::new("functions");
    let sealed = told.seal(&auth).seal(ORIGIN, "203.0.113.9".parse().unwrap()).unwrap();
    let origin = Origin { address: Some(SealedAddress::new(sealed)), request_id: "asked".to_owned() };
    let event = Event::new(Action::FUNCTION_DELETE, AuditActor::Anonymous, SystemClock.now()).from(&origin);
    told.db
        .transaction("test.record", move |connection| slipway_audit::record(connection, event))
        .await
        .unwrap();
    let waiting = dump(&told.database, "audit_outbox");
    assert!(waiting.contains("asked") && !waiting.contains("203.0.113.9"), "{waiting}");

    let stop = CancellationToken::new();
    tokio::spawn(told.forwarder(&auth).run(stop.clone()));
    eventually("all is told", async || count(&told.database, "audit_outbox") == 0).await;
    stop.cancel();
    let rows = trail.list("?action=function.delete").await;
    assert_eq!(rows[0]["address"], "203.0.113.9");
    assert!(!dump(&auth.database, "audit_log").contains("203.0.113.9"));
}
