use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipway_jwt::{ACCESS_LIFETIME, AccessIssuer, Grant, Jwks, KeyError, SecretKey};
use slipway_kernel::TokenId;
use slipway_models::auth::TokenAnswer;
use slipway_models::groups::App;

use crate::domain::{RefreshToken, Session, User};
use crate::error::AuthError;
use crate::service::signers::Signers;
use crate::store::access_tokens::AccessTokenRecord;
use crate::store::refresh_tokens::TokenDigest;

const DIGEST: &str = "refresh-token";
const SUCCESSOR: &str = "refresh-successor";

/// Makes the two tokens of a session: one to refresh with, and one to show.
#[derive(Clone)]
pub(crate) struct Tokens {
    issuer: Arc<AccessIssuer>,
    signers: Signers,
    pub(super) refresh: RefreshTokens,
}

/// Makes and reads the tokens to refresh with.
#[derive(Clone)]
pub(super) struct RefreshTokens(Arc<SecretKey>);

/// A refresh token with what is kept of it.
pub(crate) struct KnownToken {
    pub(crate) token: RefreshToken,
    pub(crate) digest: TokenDigest,
}

/// What a session's tokens are made for.
pub(crate) struct Granted {
    pub(crate) user: User,
    /// The apps that the user may use, read after the user.
    pub(crate) apps: Vec<App>,
    pub(crate) session: Session,
    pub(crate) refresh: RefreshToken,
    pub(crate) access_id: TokenId,
}

impl Tokens {
    pub(crate) fn new(issuer: Arc<AccessIssuer>, signers: Signers, key: Arc<SecretKey>) -> Self {
        Self { issuer, signers, refresh: RefreshTokens(key) }
    }

    /// Returns the public keys of access tokens.
    pub(crate) fn jwks(&self) -> Jwks {
        self.issuer.jwks()
    }

    /// Names an access token that is about to be signed.
    pub(crate) fn next_access(now: DateTime<Utc>) -> AccessTokenRecord {
        AccessTokenRecord { id: TokenId::generate(), issued_at: now, expires_at: now + ACCESS_LIFETIME }
    }

    /// Signs the access token, and hands both over.
    pub(crate) async fn sign(&self, granted: Granted, now: DateTime<Utc>) -> Result<TokenAnswer, AuthError> {
        let Granted { user, apps, session, refresh, access_id } = granted;
        let grant = Grant {
            token_id: access_id,
            user_id: user.id,
            session_id: session.id,
            email: user.email,
            handle: user.handle.into(),
            user_type: user.user_type,
            apps: apps.iter().map(App::to_string).collect(),
            generation: user.token_generation,
        };
        let access = self.signers.sign(grant).await?;
        Ok(TokenAnswer {
            access_token: access.token,
            token_type: "Bearer".to_owned(),
            expires_in: (access.expires_at - now).num_seconds(),
            refresh_token: refresh.expose().to_owned(),
            refresh_expires_in: (session.expires_at - now).num_seconds(),
            session_id: session.id,
        })
    }
}

impl RefreshTokens {
    #[cfg(test)]
    pub(super) fn new(key: Arc<SecretKey>) -> Self {
        Self(key)
    }

    /// Makes the first refresh token of a session.
    pub(crate) fn first(&self) -> Result<KnownToken, KeyError> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| KeyError::Cryptography)?;
        Ok(self.know(RefreshToken::from_random(random)))
    }

    /// Makes the token that follows: always the same one.
    pub(crate) fn successor(&self, token: &RefreshToken) -> KnownToken {
        let derived = self.0.digest(SUCCESSOR, token.expose().as_bytes());
        self.know(RefreshToken::from_random(derived))
    }

    /// Reads a token that a client gave back; `None` for a text that never was one.
    pub(crate) fn read(&self, text: &str) -> Option<KnownToken> {
        RefreshToken::parse(text).map(|token| self.know(token))
    }

    fn know(&self, token: RefreshToken) -> KnownToken {
        let digest = self.0.digest(DIGEST, token.expose().as_bytes());
        KnownToken { token, digest }
    }
}
