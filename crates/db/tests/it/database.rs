use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Integer;
use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_query};
use slipway_db::{Database, DbError};
use slipway_telemetry::Metrics;
use slipway_testkit::TestDatabase;

use crate::MIGRATIONS;

fn open(test: &TestDatabase) -> Database {
    Database::new(&test.config(), &Metrics::new("db").unwrap()).unwrap()
}

fn insert(connection: &mut PgConnection, id: i32, value: i32) -> Result<(), DbError> {
    sql_query("INSERT INTO counters VALUES ($1, $2)")
        .bind::<Integer, _>(id)
        .bind::<Integer, _>(value)
        .execute(connection)?;
    Ok(())
}

async fn count(database: &Database) -> i32 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = Integer)]
        count: i32,
    }
    database
        .run("counter.count", |connection| {
            Ok::<_, DbError>(
                sql_query("SELECT count(*)::int AS count FROM counters")
                    .get_result::<Count>(connection)?
                    .count,
            )
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let database = open(&test);
    let outcome = database
        .transaction("counter.insert", |connection| {
            insert(connection, 1, 1)?;
            insert(connection, 2, 1)
        })
        .await;
    assert!(outcome.unwrap_err().violates("counters_value_key"));
    assert_eq!(count(&database).await, 0);
}

#[tokio::test]
async fn a_panic_in_a_query_is_an_error_and_the_pool_goes_on() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let database = open(&test);
    for _ in 0..10 {
        let outcome: Result<(), DbError> = database
            .transaction("counter.panic", |connection| {
                insert(connection, 1, 1)?;
                std::panic::resume_unwind(Box::new("on purpose"))
            })
            .await;
        assert!(matches!(outcome, Err(DbError::Panicked("counter.panic"))), "{outcome:?}");
    }
    assert_eq!(count(&database).await, 0);
}

#[tokio::test]
async fn more_queries_than_connections_wait_for_their_turn() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let database = Arc::new(open(&test));
    let queries: Vec<_> = (0..200)
        .map(|id| {
            let database = Arc::clone(&database);
            tokio::spawn(async move { database.run("counter.insert", move |c| insert(c, id, id)).await })
        })
        .collect();
    for query in queries {
        query.await.unwrap().unwrap();
    }
    assert_eq!(count(&database).await, 200);
}

#[tokio::test]
async fn a_database_that_is_gone_is_unavailable_and_comes_back_without_a_restart() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let database = open(&test);
    database.ping().await.unwrap();
    test.stop();
    let outcome = database.ping().await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    test.start();
    let recovered = async {
        while database.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), recovered).await.unwrap();
}

#[tokio::test]
async fn while_the_server_is_gone_nobody_waits_out_the_timeout() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let mut config = test.config();
    config.timeout = Duration::from_mins(1);
    let database = Database::new(&config, &Metrics::new("db").unwrap()).unwrap();
    database.ping().await.unwrap();
    test.stop();
    // Two hundred on four connections: were each to wait a timeout, this would take most of an hour.
    let queries = (0..200).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { database.ping().await })
    });
    let all = async {
        for query in queries.collect::<Vec<_>>() {
            assert!(matches!(query.await.unwrap(), Err(DbError::Unavailable(_))));
        }
    };
    tokio::time::timeout(Duration::from_secs(50), all).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_cut_in_mid_query_is_unavailable() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let database = open(&test);
    let outcome = database
        .run("cut", |connection| {
            connection.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")?;
            Ok::<_, DbError>(())
        })
        .await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    database.ping().await.unwrap();
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_unavailable() {
    let test = TestDatabase::create("db", MIGRATIONS);
    let mut config = test.config();
    config.timeout = Duration::from_millis(200);
    let database = Database::new(&config, &Metrics::new("db").unwrap()).unwrap();
    let outcome = database
        .run("slow", |connection| {
            connection.batch_execute("SELECT pg_sleep(60)")?;
            Ok::<_, DbError>(())
        })
        .await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
}

#[test]
fn two_processes_that_migrate_at_once_do_it_once() {
    let test = TestDatabase::create("db", MIGRATIONS);
    test.superuser().batch_execute("DROP OWNED BY slipway_test_owner CASCADE").unwrap();
    test.superuser().batch_execute("GRANT ALL ON SCHEMA public TO slipway_test_owner").unwrap();
    let url = test.owner_url();
    let ran: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| slipway_db::migrate(&url, MIGRATIONS).unwrap().len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ran.iter().sum::<usize>(), 3, "{ran:?}");
}
