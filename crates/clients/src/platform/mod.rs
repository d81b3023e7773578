//! The public API, as people's programs use it through the gateway.

mod accounts;
mod deploy;
mod functions;
mod secrets;

pub use deploy::{Deploy, DeployTarget};
pub use functions::LogQuery;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use slipway_config::Secret;
use slipway_kernel::Page;

use crate::{ClientError, Http, SetupError};

/// A client of the platform: anyone's at first, a person's with [`Client::with_token`].
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    token: Option<Secret>,
}

impl Client {
    /// Makes a client of the gateway at `url`.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        Ok(Self { http: Http::new(url)?, token: None })
    }

    /// Returns the same client, signed in by an access token.
    #[must_use]
    pub fn with_token(&self, token: Secret) -> Self {
        Self { http: self.http.clone(), token: Some(token) }
    }

    /// Tells whether passwords and tokens would cross a network unencrypted.
    pub fn sends_in_clear(&self) -> bool {
        self.http.sends_in_clear()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, &format!("/api/v1{path}"));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        cursor: Option<&str>,
    ) -> Result<Page<T>, ClientError> {
        let query: Vec<_> =
            [("limit", "100")].into_iter().chain(cursor.map(|cursor| ("cursor", cursor))).collect();
        self.http.json(self.request(Method::GET, path).query(&query)).await
    }
}
