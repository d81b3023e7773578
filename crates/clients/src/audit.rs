use reqwest::Method;
use slipway_models::audit::AuditBatch;

use crate::{ClientError, Http, SetupError};

/// A client of auth's audit log, for the platform's services.
#[derive(Debug, Clone)]
pub struct AuditClient {
    http: Http,
}

impl AuditClient {
    /// Makes a client of the auth service at `url`.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        Ok(Self { http: Http::new(url)? })
    }

    /// Tells what happened. `identity` is the teller's own, signed for auth. When this returns it is on the log, once,
    /// however often it was told.
    pub async fn deliver(&self, identity: &str, batch: &AuditBatch) -> Result<(), ClientError> {
        let request = self.http.request(Method::POST, "/internal/audit").bearer_auth(identity).json(batch);
        self.http.send(request).await.map(drop)
    }
}
