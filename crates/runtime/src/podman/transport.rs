use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use containers_api::conn::hyper::client::Client;
use containers_api::conn::hyper::{self, Body, Response};
use containers_api::conn::{self, Headers, Payload, RequestClient, get_unix_connector};
use podman_api::{Error, Podman};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::RuntimeError;

/// The API version that requests name: that of Podman 4.3, the oldest supported (Debian 12). Newer ones serve it.
const API: &str = "/v4.3.1/libpod";

/// `podman-api`, and the client under it for the requests that go past it.
#[derive(Debug)]
pub(super) struct Transport {
    api: Podman,
    raw: RequestClient<Error>,
    timeout: Duration,
}

impl Transport {
    pub(super) fn new(socket: &Path, timeout: Duration) -> Self {
        let client = Client::builder().pool_max_idle_per_host(0).build(get_unix_connector());
        let path = socket.to_path_buf();
        Self {
            api: Podman::unix(socket),
            raw: RequestClient::new(conn::Transport::Unix { client, path }, Box::new(check)),
            timeout,
        }
    }

    pub(super) fn api(&self) -> &Podman {
        &self.api
    }

    /// Awaits a request of `podman-api` within the time that a request has.
    pub(super) async fn request<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RuntimeError> {
        within(self.timeout, "a request to Podman", request).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RuntimeError> {
        self.request(self.raw.get_json(format!("{API}{path}"))).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, RuntimeError> {
        let body = Payload::Json(body.to_string());
        self.request(self.raw.post_json(format!("{API}{path}"), body, Headers::none())).await
    }

    /// Sends a tar file and returns the body of the answer as it comes; the time it takes is the caller's to bound.
    pub(super) async fn post_tar(&self, path: &str, tar: Body) -> Result<Body, RuntimeError> {
        let request = self.raw.post(format!("{API}{path}"), Payload::Tar(tar), Headers::none());
        Ok(request.await?.into_body())
    }
}

/// Awaits a request for as long as it may take.
pub(super) async fn within<T>(
    after: Duration,
    what: &'static str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, RuntimeError> {
    tokio::time::timeout(after, request)
        .await
        .map_err(|_| RuntimeError::TimedOut { what, after })?
        .map_err(RuntimeError::from)
}

type Checked = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send + Sync>>;

/// Podman's body of a refusal: `cause` is the root of the chain that `message` tells.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

fn check(response: Response<Body>) -> Checked {
    Box::pin(async move {
        let code = response.status();
        if code.is_success() {
            return Ok(response);
        }
        let body = hyper::body::to_bytes(response.into_body()).await.map_err(conn::Error::from)?;
        let message = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        Err(Error::Fault { code, message })
    })
}

impl From<Error> for RuntimeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Fault { code, message } if code.as_u16() == 404 => Self::NotFound { what: message },
            Error::Fault { message, .. } => Self::Refused { what: message },
            Error::IO(_) | Error::Error(conn::Error::Hyper(_) | conn::Error::IO(_)) => {
                Self::Unavailable { cause: error.to_string() }
            }
            _ => Self::Unexpected { what: error.to_string() },
        }
    }
}
