use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::{Connection as _, sql_query};
use slipway_telemetry::{HistogramVec, Metrics, MetricsError};
use tokio::sync::Semaphore;
use tracing::Span;

use crate::pool::ConnectionPool;
use crate::{DatabaseConfig, DbError};

/// A service's connections to its own database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: ConnectionPool,
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
        let permits = Arc::new(Semaphore::new(config.pool_size as usize));
        Ok(Self { pool: ConnectionPool::new(config), permits, timeout: config.timeout, durations })
    }

    /// Returns how long a query may wait for a connection, and how long the server may work on a statement.
    pub fn timeout(&self) -> Duration {
        self.timeout
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
            connection.work(work)
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(fault) if fault.is_panic() => Err(DbError::Panicked(operation).into()),
            Err(_) => Err(DbError::Unavailable(format!("{operation} was cut off by a stop")).into()),
        }
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
