//! What tests of the audit log do with it.

use std::time::Duration;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Text};
use reqwest::Response;
use serde_json::{Value, json};
use slipway_kernel::AuditEventId;
use slipway_models::auth::UserType;
use slipway_testkit::{Callers, TestDatabase};

use crate::harness::TestAuth;

/// The audit log of an auth, as an admin sees it and as other services write it.
pub(crate) struct Trail {
    base: String,
    client: reqwest::Client,
    pub(crate) admin: String,
    services: Vec<(&'static str, String)>,
}

impl Trail {
    pub(crate) fn of(auth: &TestAuth) -> Self {
        Self::at(&auth.base, &auth.callers)
    }

    /// The log of the auth at `base`, for these callers.
    pub(crate) fn at(base: &str, callers: &Callers) -> Self {
        Self {
            base: base.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            admin: callers.person(UserType::Admin).authorization,
            // All of them before the first is shown: keys are looked for once, as the clock stands.
            services: ["functions", "vault"].map(|name| (name, callers.service(name))).into(),
        }
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.base));
        let answer = request.header("authorization", &self.admin).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Lists rows, the newest first.
    pub(crate) async fn list(&self, query: &str) -> Vec<Value> {
        self.read(&format!("/api/v1/audit{query}")).await["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn verify(&self) -> Value {
        self.read("/api/v1/audit/verify").await
    }

    pub(crate) async fn send(&self, service: &str, events: &[Value]) -> Response {
        let (_, identity) = self.services.iter().find(|(name, _)| *name == service).unwrap();
        let request = self.client.post(format!("{}/internal/audit", self.base));
        request.header("authorization", identity).json(&json!({"events": events})).send().await.unwrap()
    }

    /// Has a service tell of events, after what auth itself has to tell.
    pub(crate) async fn tell(&self, auth: &TestAuth, service: &str, events: &[Value]) {
        eventually("auth has told of its own", async || count(&auth.database, "audit_outbox") == 0).await;
        assert_eq!(self.send(service, events).await.status(), 204);
    }

    /// Waits until the log has so many rows.
    pub(crate) async fn reaches(&self, rows: i64) {
        let mut last = Value::Null;
        eventually("the log has the rows", async || {
            last = self.read("/api/v1/audit?limit=1").await["items"][0]["seq"].clone();
            last.as_i64() == Some(rows)
        })
        .await;
    }
}

/// Asks until it is so; panics when it is not so within a generous time.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(2), asked).await.is_ok(), "{what}: not within 2 min");
}

/// Counts the rows of a table, behind the service's back.
pub(crate) fn count(database: &TestDatabase, table: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    diesel::sql_query(format!("SELECT count(*) AS count FROM {table}"))
        .get_result::<Count>(&mut database.superuser())
        .unwrap()
        .count
}

/// Returns all that a table holds, as text.
pub(crate) fn dump(database: &TestDatabase, table: &str) -> String {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        row: String,
    }
    let rows = diesel::sql_query(format!("SELECT to_jsonb({table})::text AS row FROM {table}"))
        .load::<Row>(&mut database.superuser())
        .unwrap();
    rows.into_iter().map(|row| row.row).collect()
}

/// Makes events as a service tells of them.
pub(crate) fn events(count: usize) -> Vec<Value> {
    let event = |number| {
        json!({
            "id": AuditEventId::generate(),
            "at": "2026-01-10T12:00:00Z",
            "level": "info",
            "action": "function.deploy",
            "actor": {"type": "anonymous"},
            "target": {"type": "function", "id": "x"},
            "address": "2001:db8::1",
            "request_id": null,
            "details": {"number": number, "share": 0.1},
        })
    };
    (0..count).map(event).collect()
}
