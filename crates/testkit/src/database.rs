use std::fmt::Debug;
use std::time::{Duration, Instant, UNIX_EPOCH};

use diesel::connection::SimpleConnection as _;
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::sql_types::{Bool, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, sql_query};
use sha2::{Digest as _, Sha256};
use slipway_config::Secret;
use slipway_db::DatabaseConfig;
use slipway_kernel::RequestId;
use url::Url;

const OWNER: &str = "slipway_test_owner";
const SERVING: &str = "slipway_test";
const PASSWORD: &str = "only-in-a-private-test-cluster";

/// Far above what a session takes to come to a lock.
const WAITS_WITHIN: Duration = Duration::from_secs(30);

/// Any number, as long as every test process takes the same.
const LOCK: i64 = 0x0051_1b3b;

/// A migrated database of one test's own, dropped with it. Roles are as in production: one owns the tables, the other
/// serves and may not alter them.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: Url,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    #[expect(dead_code, reason = "only whether there is a row counts")]
    name: String,
}

#[derive(QueryableByName)]
struct Holds {
    #[diesel(sql_type = Bool)]
    holds: bool,
}

impl TestDatabase {
    /// Copies the template of `service`, which the first test of this binary makes. Blocking.
    pub fn create<S: MigrationSource<Pg>>(service: &str, migrations: S) -> Self {
        let server = fine(
            "SLIPWAY_TEST_DATABASE_URL",
            Url::parse(&crate::required_setting("SLIPWAY_TEST_DATABASE_URL")),
        );
        let mut admin = connect(&server);
        let template = format!("template_{service}_{}", binary_digest());
        run(&mut admin, &format!("SELECT pg_advisory_lock({LOCK})"));
        if !exists(&mut admin, &template) {
            make_template(&mut admin, &server, &template, migrations);
        }
        let name = format!("test_{}", RequestId::generate().as_uuid().simple());
        run(&mut admin, &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}"));
        run(&mut admin, &format!("SELECT pg_advisory_unlock({LOCK})"));
        Self { name, server }
    }

    /// Returns the settings of a service that uses this database.
    pub fn config(&self) -> DatabaseConfig {
        DatabaseConfig {
            url: self.url(),
            owner_url: Some(self.owner_url()),
            pool_size: 4,
            timeout: Duration::from_secs(5),
        }
    }

    /// Returns the URL of the role that serves.
    pub fn url(&self) -> Secret {
        Secret::new(at(&self.server, &self.name, Some(SERVING)))
    }

    /// Returns the URL of the role that owns the tables.
    pub fn owner_url(&self) -> Secret {
        Secret::new(at(&self.server, &self.name, Some(OWNER)))
    }

    /// Connects as the superuser, to look behind a service's back.
    pub fn superuser(&self) -> PgConnection {
        fine("the test database", PgConnection::establish(&at(&self.server, &self.name, None)))
    }

    /// Tells whether a session of this database waits for a lock that another has.
    pub fn is_waiting(&self) -> bool {
        let waiting = sql_query(
            "SELECT EXISTS (SELECT FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event_type = 'Lock') AS holds",
        );
        fine("pg_stat_activity", waiting.get_result::<Holds>(&mut self.superuser())).holds
    }

    /// Waits until a session of this database waits for a lock that another has. Blocking.
    pub fn wait_until_one_waits(&self) {
        let begun = Instant::now();
        while !self.is_waiting() {
            assert!(begun.elapsed() < WAITS_WITHIN, "no session waits for a lock within {WAITS_WITHIN:?}");
        }
    }

    /// Takes the database away while a service uses it: connections are cut and new ones refused.
    pub fn stop(&self) {
        let mut admin = connect(&self.server);
        run(&mut admin, &format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name));
        run(
            &mut admin,
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                self.name
            ),
        );
    }

    /// Gives the database back.
    pub fn start(&self) {
        run(&mut connect(&self.server), &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name));
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let dropped = PgConnection::establish(self.server.as_str())
            .map_err(|fault| fault.to_string())
            .and_then(|mut admin| {
                let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
                admin.batch_execute(&statement).map_err(|fault| fault.to_string())
            });
        if let Err(fault) = dropped {
            eprintln!("the test database {} is left behind: {fault}", self.name);
        }
    }
}

fn make_template<S: MigrationSource<Pg>>(admin: &mut PgConnection, server: &Url, name: &str, migrations: S) {
    for role in [OWNER, SERVING] {
        run(
            admin,
            &format!(
                "DO $$ BEGIN CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; \
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ),
        );
    }
    let draft = format!("{name}_draft");
    run(admin, &format!("DROP DATABASE IF EXISTS {draft}"));
    run(admin, &format!("CREATE DATABASE {draft} OWNER {OWNER}"));
    let mut inside = fine("the template", PgConnection::establish(&at(server, &draft, None)));
    run(
        &mut inside,
        &format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; \
             GRANT ALL ON SCHEMA public TO {OWNER}; GRANT USAGE ON SCHEMA public TO {SERVING}; \
             ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public \
                GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {SERVING}; \
             ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public \
                GRANT USAGE, SELECT ON SEQUENCES TO {SERVING}"
        ),
    );
    drop(inside);
    fine("the migrations", slipway_db::migrate(&Secret::new(at(server, &draft, Some(OWNER))), migrations));
    run(admin, &format!("ALTER DATABASE {draft} RENAME TO {name}"));
}

fn exists(admin: &mut PgConnection, database: &str) -> bool {
    let rows = sql_query("SELECT datname::text AS name FROM pg_database WHERE datname = $1")
        .bind::<Text, _>(database)
        .load::<Name>(admin);
    !fine("pg_database", rows).is_empty()
}

/// Names a template by the binary that holds the migrations: a new build makes a new one.
fn binary_digest() -> String {
    let path = fine("the test binary's path", std::env::current_exe());
    let modified = fine("the test binary's time", std::fs::metadata(&path).and_then(|data| data.modified()));
    let stamp = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let digest = Sha256::digest(format!("{}:{stamp}", path.display()));
    hex::encode(&digest[..8])
}

fn at(server: &Url, database: &str, role: Option<&str>) -> String {
    let mut url = server.clone();
    url.set_path(database);
    if let Some(role) = role {
        let set = url.set_username(role).and_then(|()| url.set_password(Some(PASSWORD)));
        fine("the URL of the test server", set.map_err(|()| "it has no host"));
    }
    url.into()
}

fn connect(server: &Url) -> PgConnection {
    fine("the test server", PgConnection::establish(server.as_str()))
}

fn run(connection: &mut PgConnection, statement: &str) {
    fine(statement, connection.batch_execute(statement));
}

fn fine<T, E: Debug>(what: &str, outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|fault| panic!("{what}: {fault:?}"))
}
