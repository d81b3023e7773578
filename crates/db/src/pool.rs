//! The connections themselves: how one is made, what bounds it, and how long a request waits for one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error, ManageConnection, Pool, PooledConnection};
use r2d2::HandleError;

use crate::{DatabaseConfig, url};

/// Within this after its last work a connection is taken to stand, as `HikariCP` does. To ask the server each time costs
/// a round trip, which for most of our work is as much as the work.
const STANDS_FOR: Duration = Duration::from_millis(500);

/// How often a request that waits for a connection looks whether the server can be reached at all.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What PostgreSQL reckons a page at that lies elsewhere than the one before, as its manual advises for what is mostly found
/// in memory (section 19.7.2). At its default of 4, meant for turning disks, it takes a search through a table of few
/// pages for cheaper than one by its index, and statements that are prepared keep to that while the table grows.
const RANDOM_PAGE_COST: f64 = 1.1;

/// An r2d2 pool that knows when the server is gone, so that requests fail at once and not after the whole timeout:
/// r2d2 by itself lets each wait. It tries to connect in the background meanwhile, at least twice in a timeout.
#[derive(Clone)]
pub(crate) struct ConnectionPool {
    connections: Pool<Manager>,
    outage: Outage,
    timeout: Duration,
}

impl ConnectionPool {
    /// Prepares the pool; connections are made as they are needed.
    pub(crate) fn new(config: &DatabaseConfig) -> Self {
        let outage = Outage::default();
        let connections = Pool::builder()
            .max_size(config.pool_size)
            .min_idle(Some(1))
            .connection_timeout(config.timeout)
            .connection_customizer(Box::new(Limits { statement: config.timeout, outage: outage.clone() }))
            .error_handler(Box::new(outage.clone()))
            .build_unchecked(Manager(ConnectionManager::new(
                url::bounded(&config.url, config.timeout).expose(),
            )));
        Self { connections, outage, timeout: config.timeout }
    }

    /// Takes a connection, or says why there is none. Blocking, for the timeout at the most; where no connection
    /// stands and the last attempt at one failed, not at all.
    pub(crate) fn get(&self) -> Result<PooledConnection<Manager>, String> {
        let deadline = Instant::now() + self.timeout;
        loop {
            if let Some(cause) = self.outage.cause()
                && self.connections.state().connections == 0
            {
                return Err(cause);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.connections.get_timeout(left.min(LOOK_EVERY)) {
                Ok(connection) => return Ok(connection),
                Err(fault) if left.is_zero() => return Err(fault.to_string()),
                Err(_) => {}
            }
        }
    }
}

/// A connection, and when it last was good for something.
pub(crate) struct Kept {
    connection: PgConnection,
    worked_at: Option<Instant>,
}

impl Kept {
    /// Works on the connection. Where that fails, be it for a reason of its own, the next to take it asks the server first.
    pub(crate) fn work<T, E>(
        &mut self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.worked_at = None;
        let outcome = work(&mut self.connection);
        self.worked_at = outcome.is_ok().then(Instant::now);
        outcome
    }
}

/// Makes connections, and tells those that stand.
pub(crate) struct Manager(ConnectionManager<PgConnection>);

impl ManageConnection for Manager {
    type Connection = Kept;
    type Error = Error;

    fn connect(&self) -> Result<Kept, Error> {
        Ok(Kept { connection: self.0.connect()?, worked_at: None })
    }

    fn is_valid(&self, kept: &mut Kept) -> Result<(), Error> {
        match kept.worked_at {
            Some(at) if at.elapsed() < STANDS_FOR => Ok(()),
            _ => self.0.is_valid(&mut kept.connection),
        }
    }

    fn has_broken(&self, kept: &mut Kept) -> bool {
        self.0.has_broken(&mut kept.connection)
    }
}

/// Why the last attempt to connect failed; none after one that succeeded.
#[derive(Debug, Clone, Default)]
struct Outage(Arc<Mutex<Option<String>>>);

impl Outage {
    fn cause(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, cause: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }
}

impl HandleError<Error> for Outage {
    /// A connection that broke says nothing of the server: it may be back already.
    fn handle_error(&self, fault: Error) {
        if let Error::ConnectionError(cause) = fault {
            self.set(Some(cause.to_string()));
        }
    }
}

/// Bounds what a connection may keep the server busy with.
#[derive(Debug)]
struct Limits {
    statement: Duration,
    outage: Outage,
}

impl CustomizeConnection<Kept, Error> for Limits {
    fn on_acquire(&self, kept: &mut Kept) -> Result<(), Error> {
        let milliseconds = self.statement.as_millis();
        kept.connection
            .batch_execute(&format!(
                "SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds}; \
                 SET idle_in_transaction_session_timeout = {}; SET timezone = 'UTC'; \
                 SET random_page_cost = {RANDOM_PAGE_COST}",
                milliseconds * 2
            ))
            .map_err(Error::QueryError)?;
        self.outage.set(None);
        Ok(())
    }
}
