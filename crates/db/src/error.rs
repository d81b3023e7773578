use diesel::result::{DatabaseErrorKind, Error};

/// What can go wrong with a query, as services tell cases apart.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL does not answer, or not in time. The same request may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A unique constraint was violated.
    #[error("the constraint {constraint} was violated")]
    Duplicate {
        /// The constraint's name.
        constraint: String,
    },
    /// Another transaction was faster. The same request may succeed at once.
    #[error("another transaction was faster: {0}")]
    Conflict(String),
    /// The code around the query panicked. Nothing of its transaction took effect.
    #[error("the operation {0} panicked")]
    Panicked(&'static str),
    /// The query itself is at fault.
    #[error("the query failed: {0}")]
    Query(Error),
}

impl DbError {
    /// Tells whether the same request may succeed later without a change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_))
    }

    /// Tells whether the unique constraint `name` was violated.
    pub fn violates(&self, name: &str) -> bool {
        matches!(self, Self::Duplicate { constraint } if constraint == name)
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        let Error::DatabaseError(kind, information) = &error else {
            return if matches!(error, Error::BrokenTransactionManager) {
                Self::Unavailable(error.to_string())
            } else {
                Self::Query(error)
            };
        };
        let message = information.message().to_owned();
        match kind {
            DatabaseErrorKind::UniqueViolation => {
                Self::Duplicate { constraint: information.constraint_name().unwrap_or_default().to_owned() }
            }
            DatabaseErrorKind::SerializationFailure => Self::Conflict(message),
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Self::Unavailable(message)
            }
            _ if is_outage(&message) => Self::Unavailable(message),
            _ if message.contains("deadlock detected") => Self::Conflict(message),
            _ => Self::Query(error),
        }
    }
}

/// Recognises what PostgreSQL and libpq say of a server that is stopping, gone, starting or too slow. Diesel does not
/// pass SQLSTATE on, so the messages have to do (`lc_messages` of our clusters is C).
fn is_outage(message: &str) -> bool {
    const SIGNS: [&str; 11] = [
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "no connection to the server",
        "could not receive data from server",
        "could not send data to server",
        "the database system is",
        "too many clients",
        "remaining connection slots",
        "statement timeout",
        "lock timeout",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}
