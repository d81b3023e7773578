//! The auth service, as the gateway calls it on the private network.

use std::time::Duration;

use reqwest::Method;
use slipway_jwt::Jwks;
use slipway_models::auth::RevocationFeed;

use crate::{ClientError, Http, InvalidUrl};

/// A gateway that waits longer for one answer serves on knowledge that grows old meanwhile.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A client of auth.
#[derive(Debug, Clone)]
pub struct Client(Http);

impl Client {
    /// Makes a client of the auth service at `url`.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        Http::internal(url).map(Self)
    }

    /// Returns the keys that access tokens are verified with.
    pub async fn jwks(&self) -> Result<Jwks, ClientError> {
        let request = self.0.request(Method::GET, "/api/v1/auth/jwks.json");
        self.0.json(request.timeout(ANSWER_WITHIN)).await
    }

    /// Returns the sessions that were revoked since `cursor`, or all that still matter. `identity` is the caller's own
    /// service identity for the audience `auth`.
    pub async fn revocations(
        &self,
        identity: &str,
        cursor: Option<&str>,
    ) -> Result<RevocationFeed, ClientError> {
        let request = self.0.request(Method::GET, "/internal/revocations").bearer_auth(identity);
        let since: Vec<_> = cursor.map(|cursor| ("since", cursor)).into_iter().collect();
        self.0.json(request.query(&since).timeout(ANSWER_WITHIN)).await
    }
}
