//! The one way out: every client sends its requests through [`Http`].

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use slipway_models::problem::ProblemBody;

use crate::error::innermost;
use crate::{ClientError, SetupError};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The most that is read of an answer: far above any page, far below what hurts.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// An HTTP client bound to one server.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Url,
}

impl Http {
    /// Makes a client of the server at `base`. The environment's proxies are used, except for this machine.
    pub fn new(base: &str) -> Result<Self, SetupError> {
        let base = parse(base)?;
        let builder = reqwest::Client::builder();
        let builder = match (is_this_machine(&base), base.scheme()) {
            // Where the system has no certificate authorities, it can still speak to itself.
            (true, "http") => builder.no_proxy().tls_certs_only([]),
            (true, _) => builder.no_proxy(),
            (false, _) => builder,
        };
        let client = builder
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|fault| SetupError::Tls(innermost(&fault)))?;
        Ok(Self { client, base })
    }

    /// Tells whether requests would cross a network unencrypted.
    pub fn sends_in_clear(&self) -> bool {
        self.base.scheme() == "http" && !is_this_machine(&self.base)
    }

    /// Starts a request. `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        let mut request = self.client.request(method, format!("{base}{path}"));
        for (name, value) in slipway_telemetry::outgoing_headers() {
            request = request.header(name, value);
        }
        request
    }

    /// Sends a request and returns the answer if it is a success.
    ///
    /// It is sent again, after a pause, when it cannot have been carried out (no connection stood) or may be carried
    /// out twice (an idempotent method, RFC 9110 section 9.2.2) and no answer came; three times in all. A request
    /// that streams its body is sent once.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let mut request = request.build()?;
        let mut attempt = 1;
        loop {
            let again = request.try_clone();
            let repeatable = is_idempotent(&request);
            match (self.client.execute(request).await, again) {
                (Ok(answer), _) if answer.status().is_success() => return Ok(answer),
                (Ok(answer), _) => return Err(refusal(answer).await),
                (Err(fault), Some(next))
                    if attempt < ATTEMPTS && (fault.is_connect() || repeatable && !fault.is_timeout()) =>
                {
                    request = next;
                }
                (Err(fault), _) => return Err(fault.into()),
            }
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    /// Sends a request and reads the JSON of its answer.
    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.send(request).await?;
        let status = answer.status().as_u16();
        let body = read(answer).await?;
        serde_json::from_slice(&body)
            .map_err(|fault| ClientError::Foreign { status, reason: fault.to_string() })
    }
}

fn parse(base: &str) -> Result<Url, SetupError> {
    let url = Url::parse(base).map_err(|_| SetupError::Url)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(SetupError::Url) }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_idempotent(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS)
}

/// Doubles from attempt to attempt, and lies anywhere from half to the whole of that, so that clients which failed
/// together do not come back together.
fn pause(attempt: u32) -> Duration {
    FIRST_PAUSE * 2_u32.pow(attempt - 1) * fastrand::u32(50..=100) / 100
}

async fn refusal(answer: Response) -> ClientError {
    let status = answer.status();
    let retry_after = retry_after(&answer);
    let body = match read(answer).await {
        Ok(body) => body,
        Err(fault) => return fault,
    };
    match serde_json::from_slice::<ProblemBody>(&body) {
        Ok(problem) => ClientError::Problem { problem: Box::new(problem), retry_after },
        Err(_) => ClientError::Foreign { status: status.as_u16(), reason: describe(status) },
    }
}

fn describe(status: StatusCode) -> String {
    if status.is_redirection() {
        return "it redirects elsewhere; give the final URL".to_owned();
    }
    status.canonical_reason().unwrap_or("unknown status").to_lowercase()
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(mut answer: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let reason = format!("it is larger than {MAX_ANSWER} bytes");
            return Err(ClientError::Foreign { status: answer.status().as_u16(), reason });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
