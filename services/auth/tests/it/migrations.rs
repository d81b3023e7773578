use diesel::connection::SimpleConnection as _;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::{Connection as _, PgConnection};
use diesel_migrations::MigrationHarness as _;
use slipway_auth::MIGRATIONS;
use slipway_testkit::TestDatabase;

#[test]
fn every_migration_goes_down_and_up_again() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let mut owner = PgConnection::establish(database.owner_url().expose()).unwrap();
    // Ours alone: the shared tables are older, and the database crate's.
    let ours = MigrationSource::<Pg>::migrations(&MIGRATIONS).unwrap().len();
    for _ in 0..ours {
        owner.revert_last_migration(MIGRATIONS).unwrap();
    }
    assert_eq!(slipway_db::migrate(&database.owner_url(), MIGRATIONS).unwrap().len(), ours);
    assert!(slipway_db::migrate(&database.owner_url(), MIGRATIONS).unwrap().is_empty());
}

#[test]
fn the_role_that_serves_cannot_alter_tables() {
    let database = TestDatabase::create("auth", MIGRATIONS);
    let mut serving = PgConnection::establish(database.url().expose()).unwrap();
    for statement in [
        "ALTER TABLE users ADD COLUMN extra text",
        "DROP TABLE sessions",
        "TRUNCATE refresh_tokens",
        "CREATE TABLE mine (id int)",
        "UPDATE audit_log SET action = 'auth.login'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey",
    ] {
        assert!(serving.batch_execute(statement).is_err(), "{statement}");
    }
    serving.batch_execute("DELETE FROM sessions").unwrap();
    serving.batch_execute("SELECT FROM audit_log").unwrap();
}
