//! Where sign-ins came from: sealed, as it is personal.

use std::sync::Arc;

use slipway_db::{Database, DbError, PgConnection, SealedRow};
use slipway_kernel::SessionId;
use slipway_sealing::{SealError, SealingKeys};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::SessionDetails;
use crate::error::AuthError;
use crate::store;

const PURPOSE: &[u8] = b"session-details";

/// Seals the details of sessions, each for its session alone.
#[derive(Clone)]
pub(crate) struct DetailsSeal(Arc<SealingKeys>);

impl DetailsSeal {
    pub(crate) fn new(keys: Arc<SealingKeys>) -> Self {
        Self(keys)
    }

    pub(super) fn seal(&self, session: SessionId, details: &SessionDetails) -> Result<Vec<u8>, AuthError> {
        let plain = serde_json::to_vec(details).map_err(|_| SealError::Cryptography)?;
        Ok(self.0.seal(&context(session), &plain)?)
    }

    /// Opens what was sealed. What does not open is logged, and shown as if it were not known: a session can be ended
    /// all the same.
    pub(super) fn open(&self, session: SessionId, sealed: Option<&[u8]>) -> SessionDetails {
        let Some(sealed) = sealed else { return SessionDetails::default() };
        match self.0.open(&context(session), sealed) {
            Ok(plain) => serde_json::from_slice(&plain).unwrap_or_default(),
            Err(fault) => {
                tracing::error!(error = %fault, session.id = %session, "the details of a session do not open");
                SessionDetails::default()
            }
        }
    }

    /// Seals anew what a key before the current one sealed, so that its file may go.
    pub(crate) async fn seal_anew(self, db: Database, stop: CancellationToken) {
        slipway_db::seal_anew::<SealedDetails>(db, self.0, stop).await;
    }
}

/// The details of a session as they lie in the database.
struct SealedDetails {
    session: SessionId,
    sealed: Vec<u8>,
}

impl SealedRow for SealedDetails {
    const KIND: &'static str = "session's detail";

    fn id(&self) -> Uuid {
        self.session.as_uuid()
    }

    fn context(&self) -> impl AsRef<[Vec<u8>]> {
        context(self.session)
    }

    fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError> {
        let rows = store::sessions::list_sealed(connection, after.map(Into::into), limit)?;
        Ok(rows.into_iter().map(|(session, sealed)| Self { session, sealed }).collect())
    }

    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError> {
        store::sessions::update_sealed(connection, self.session, sealed)
    }
}

fn context(session: SessionId) -> [Vec<u8>; 2] {
    [PURPOSE.to_vec(), session.as_uuid().as_bytes().to_vec()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use slipway_db::DatabaseConfig;
    use slipway_kernel::Clock as _;
    use slipway_telemetry::Metrics;
    use slipway_testkit::{TestDatabase, fixed_clock};

    use super::*;
    use crate::app::MIGRATIONS;
    use crate::domain::Session;
    use crate::service::tests::insert_user;

    /// More than are gone through at a time.
    const MANY: usize = 101;

    fn load(directory: &Path) -> DetailsSeal {
        DetailsSeal::new(Arc::new(SealingKeys::load_or_create(directory, "auth").unwrap()))
    }

    #[tokio::test]
    async fn details_are_sealed_anew_under_a_new_key_so_that_the_old_one_may_go() {
        let database = TestDatabase::create("auth", MIGRATIONS);
        let config = DatabaseConfig {
            url: database.url(),
            owner_url: None,
            pool_size: 2,
            timeout: Duration::from_secs(15),
        };
        let db = Database::new(&config, &Metrics::new("auth").unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let old = load(directory.path());
        let details = SessionDetails::new(Some("203.0.113.9"), Some("Phone/1"));
        let (seal, kept) = (old.clone(), details.clone());
        let sessions = db
            .run("test.insert", move |connection| {
                let user = insert_user(connection);
                let insert = |_| {
                    let session = Session::start(user, fixed_clock().now());
                    let sealed = seal.seal(session.id, &kept)?;
                    store::sessions::insert(connection, &session, &sealed)?;
                    Ok::<_, AuthError>(session.id)
                };
                (0..MANY).map(insert).collect::<Result<Vec<_>, _>>()
            })
            .await
            .unwrap();
        let other = tempfile::tempdir().unwrap();
        load(other.path());
        let (first, second) = ("auth.sealing-0.pem", "auth.sealing-1.pem");
        std::fs::rename(other.path().join(first), directory.path().join(second)).unwrap();

        load(directory.path()).seal_anew(db.clone(), CancellationToken::new()).await;

        std::fs::remove_file(directory.path().join(first)).unwrap();
        let new = load(directory.path());
        let rows = db
            .run("test.list", |connection| {
                store::sessions::list_sealed(connection, None, 1_000).map_err(AuthError::from)
            })
            .await
            .unwrap();
        assert_eq!(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>(), sessions);
        for (session, sealed) in rows {
            assert_eq!(new.open(session, Some(&sealed)), details);
            assert_eq!(old.open(session, Some(&sealed)), SessionDetails::default(), "it is the new key's");
        }
    }

    #[test]
    fn details_open_for_their_own_session_alone() {
        let directory = tempfile::tempdir().unwrap();
        let seal = load(directory.path());
        let (own, other) = (SessionId::generate(), SessionId::generate());
        let details = SessionDetails::new(None, Some("Phone/1"));
        let sealed = seal.seal(own, &details).unwrap();
        assert_eq!(seal.open(own, Some(&sealed)), details);
        assert_eq!(seal.open(other, Some(&sealed)), SessionDetails::default());
        assert_eq!(seal.open(own, None), SessionDetails::default());
    }
}
