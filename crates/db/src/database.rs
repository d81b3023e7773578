use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{Connection as _, sql_query};
use slipway_telemetry::{HistogramVec, Metrics, MetricsError};
use tokio::sync::Semaphore;
use tracing::Span;

use crate::{DatabaseConfig, DbError};

/// A service's connections to its own database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool<ConnectionManager<PgConnection>>,
    permits: Arc<Semaphore>,
    timeout: Duration,
    durations: HistogramVec,
}

impl Database {
    /// Prepares the pool. Connections are made as they are needed, so the server need not be there yet.
    ///
    /// # Errors
    /// Refuses a second pool under the same metrics.
    pub fn new(config: &DatabaseConfig, metrics: &Metrics) -> Result<Self, MetricsError> {
        let durations = metrics.durations(
            "db_operation_duration_seconds",
            "Time of a database operation, with its wait for a connection.",
            &["operation", "outcome"],
        )?;
        let pool = Pool::builder()
            .max_size(config.pool_size)
            .min_idle(Some(1))
            .connection_timeout(config.timeout)
            .connection_customizer(Box::new(Limits { statement: config.timeout }))
            .build_unchecked(ConnectionManager::new(config.url.expose()));
        let permits = Arc::new(Semaphore::new(config.pool_size as usize));
        Ok(Self { pool, permits, timeout: config.timeout, durations })
    }

    /// Runs `work` on a connection, off the async threads. `operation` names it in metrics and logs, as in
    /// `user.find`.
    pub async fn run<T, E>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let started = Instant::now();
        let outcome = self.run_unmeasured(operation, work).await;
        let label = if outcome.is_ok() { "ok" } else { "error" };
        self.durations.with_label_values(&[operation, label]).observe(started.elapsed().as_secs_f64());
        outcome
    }

    /// Runs `work` in a transaction: all of it takes effect, or, where it returns an error, nothing.
    pub async fn transaction<T, E>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.run(operation, move |connection| {
            connection.transaction(|connection| work(connection).map_err(Abort::Work)).map_err(|abort| {
                match abort {
                    Abort::Work(error) => error,
                    Abort::Database(error) => DbError::from(error).into(),
                }
            })
        })
        .await
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.run("ping", |connection| {
            diesel::RunQueryDsl::execute(sql_query("SELECT 1"), connection)?;
            Ok(())
        })
        .await
    }

    async fn run_unmeasured<T, E>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let wait = tokio::time::timeout(self.timeout, Arc::clone(&self.permits).acquire_owned());
        let Ok(Ok(permit)) = wait.await else {
            return Err(DbError::Unavailable(format!("{operation} waited too long for a connection")).into());
        };
        let pool = self.pool.clone();
        let task = slipway_telemetry::spawn_blocking(Span::current(), move || {
            let _permit = permit;
            let mut connection =
                pool.get().map_err(|cause| DbError::Unavailable(format!("{operation}: {cause}")))?;
            work(&mut connection)
        });
        task.await.unwrap_or_else(|cause| {
            Err(DbError::Unavailable(format!("{operation} did not come to its end: {cause}")).into())
        })
    }
}

enum Abort<E> {
    Work(E),
    Database(diesel::result::Error),
}

impl<E> From<diesel::result::Error> for Abort<E> {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

/// Bounds what a connection may keep the server busy with.
#[derive(Debug)]
struct Limits {
    statement: Duration,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Limits {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let milliseconds = self.statement.as_millis();
        connection
            .batch_execute(&format!(
                "SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds}; \
                 SET idle_in_transaction_session_timeout = {}; SET timezone = 'UTC'",
                milliseconds * 2
            ))
            .map_err(diesel::r2d2::Error::QueryError)
    }
}
