use reqwest::Method;
use slipway_models::auth::DeletedUsers;

use crate::{ClientError, Http, SetupError};

/// A client of auth's accounts, for the platform's services.
#[derive(Debug, Clone)]
pub struct AccountsClient {
    http: Http,
}

impl AccountsClient {
    /// Makes a client of the auth service at `url`.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        Ok(Self { http: Http::new(url)? })
    }

    /// Lists the accounts that were deleted after a position; 0 is before all. `identity` is that of the service that
    /// asks, signed for auth.
    pub async fn deleted_after(&self, identity: &str, position: i64) -> Result<DeletedUsers, ClientError> {
        let request = self.http.request(Method::GET, "/internal/deleted-users");
        self.http.json(request.query(&[("after", position)]).bearer_auth(identity)).await
    }
}
