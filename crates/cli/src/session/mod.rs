//! The sign-in: what is kept of it, and how it stays fresh.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use slipway_clients::SetupError;
use slipway_clients::platform::Client;
use slipway_config::Secret;
use slipway_kernel::{Clock as _, SystemClock};
use slipway_models::auth::TokenAnswer;

pub(crate) use store::Store;

use crate::environment;
use crate::failure::Failure;

/// Where the platform is, unless something else is said.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// An access token is renewed this long before it ends, so that it outlasts the request it is used for.
const RENEW_BEFORE: TimeDelta = TimeDelta::seconds(60);

/// A sign-in as the session file keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) url: String,
    access_token: String,
    access_expires_at: DateTime<Utc>,
    refresh_token: String,
    refresh_expires_at: DateTime<Utc>,
}

impl Session {
    pub(crate) fn new(url: &str, tokens: TokenAnswer) -> Self {
        let now = SystemClock.now();
        let after = |seconds| TimeDelta::try_seconds(seconds).map_or(now, |span| now + span);
        Self {
            url: url.to_owned(),
            access_expires_at: after(tokens.expires_in),
            refresh_expires_at: after(tokens.refresh_expires_in),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
        }
    }

    fn is_fresh(&self) -> bool {
        SystemClock.now() + RENEW_BEFORE < self.access_expires_at
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(anonymous_client(&self.url)?.with_token(Secret::new(self.access_token.clone())))
    }
}

/// Makes a client of the platform at `url` that is not signed in.
pub(crate) fn anonymous_client(url: &str) -> Result<Client, Failure> {
    Client::new(url).map_err(|fault| match fault {
        SetupError::Url => Failure::usage(format!("{url}: {fault}")),
        SetupError::Tls(_) => Failure::local(fault.to_string()),
    })
}

impl Store {
    /// Returns a client that is signed in, and the platform's URL. A token or an API key in the environment comes
    /// before the sign-in that is kept.
    ///
    /// Refresh tokens work once, and using one twice ends the whole sign-in: so commands that run at the same time
    /// renew it one after the other, and the later ones find it renewed.
    pub(crate) async fn client(&self) -> Result<(Client, String), Failure> {
        if let Some(token) = environment::text("SLIPWAY_TOKEN")? {
            let url = environment::text("SLIPWAY_URL")?.unwrap_or_else(|| DEFAULT_URL.to_owned());
            return Ok((anonymous_client(&url)?.with_token(Secret::new(token)), url));
        }
        let mut session = self.signed_in()?;
        if !session.is_fresh() {
            let _lock = self.lock().await?;
            session = self.signed_in()?;
            if !session.is_fresh() {
                session = renewed(&session).await?;
                self.save(&session)?;
            }
        }
        Ok((session.client()?, session.url))
    }

    fn signed_in(&self) -> Result<Session, Failure> {
        self.load()?.ok_or_else(|| Failure::not_signed_in("not signed in"))
    }
}

async fn renewed(session: &Session) -> Result<Session, Failure> {
    const ENDED: &str = "the sign-in has ended";
    if session.refresh_expires_at <= SystemClock.now() {
        return Err(Failure::not_signed_in(ENDED));
    }
    match anonymous_client(&session.url)?.refresh(&session.refresh_token).await {
        Ok(tokens) => Ok(Session::new(&session.url, tokens)),
        Err(fault) if fault.status() == Some(401) => Err(Failure::not_signed_in(ENDED)),
        Err(fault) => Err(fault.into()),
    }
}
