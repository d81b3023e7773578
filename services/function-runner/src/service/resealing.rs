//! What of functions is sealed anew under a new key.

use slipway_db::{DbError, PgConnection, SealedRow};
use uuid::Uuid;

use crate::domain::{Secret, SigningKey};
use crate::store;

impl SealedRow for Secret {
    const KIND: &'static str = "secret";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn context(&self) -> impl AsRef<[Vec<u8>]> {
        self.context()
    }

    fn sealed(&self) -> &[u8] {
        &self.sealed.0
    }

    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError> {
        store::secrets::list_of_all_owners(connection, after.map(Into::into), limit)
    }

    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError> {
        store::secrets::update_sealed(connection, self, sealed)
    }
}

impl SealedRow for SigningKey {
    const KIND: &'static str = "signing key";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn context(&self) -> impl AsRef<[Vec<u8>]> {
        self.context()
    }

    fn sealed(&self) -> &[u8] {
        &self.sealed.0
    }

    fn list(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<Self>, DbError> {
        store::signing_keys::list_of_all_owners(connection, after, limit)
    }

    fn update(&self, connection: &mut PgConnection, sealed: &[u8]) -> Result<(), DbError> {
        store::signing_keys::update_sealed(connection, self, sealed)
    }
}
