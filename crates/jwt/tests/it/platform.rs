//! A platform's keys in a directory of their own, and the means to forge tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use slipway_jwt::{AccessIssuer, AccessVerifier, Grant, RevokedTokens, SigningKeys};
use slipway_kernel::{FixedClock, SessionId, TokenId, UserId};
use slipway_models::auth::UserType;
use tempfile::TempDir;

/// Making an RSA key takes seconds, so the tests share one.
static KEY: LazyLock<String> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    SigningKeys::load_or_create(directory.path()).unwrap();
    fs::read_to_string(directory.path().join("access-0.pem")).unwrap()
});

pub(crate) struct Platform {
    pub(crate) keys: TempDir,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) issuer: AccessIssuer,
    pub(crate) verifier: AccessVerifier,
    pub(crate) revoked: Arc<RevokedTokens>,
}

impl Platform {
    pub(crate) fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        write_private(&keys.path().join("access-0.pem"), &KEY);
        let clock = Arc::new(FixedClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        let issuer = AccessIssuer::new(SigningKeys::load_or_create(keys.path()).unwrap(), clock.clone());
        let revoked = Arc::new(RevokedTokens::default());
        let verifier = AccessVerifier::new(revoked.clone(), clock.clone(), 100);
        verifier.replace_keys(&issuer.jwks()).unwrap();
        Self { keys, clock, issuer, verifier, revoked }
    }

    pub(crate) fn kid(&self) -> String {
        self.issuer.jwks().keys[0].kid.clone()
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid() })
    }

    /// Returns the claims of a good token.
    pub(crate) fn claims(&self) -> Value {
        let token = self.issuer.issue(grant()).unwrap().token;
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }
}

/// Signs with the platform's own key, whatever the header says.
pub(crate) fn forge(header: &impl ToString, claims: &impl ToString) -> String {
    let key = EncodingKey::from_rsa_pem(KEY.as_bytes()).unwrap();
    sign(&header.to_string(), &claims.to_string(), Algorithm::RS256, &key)
}

pub(crate) fn sign(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

pub(crate) fn grant() -> Grant {
    Grant {
        token_id: TokenId::generate(),
        user_id: UserId::generate(),
        session_id: SessionId::generate(),
        email: "ada@example.org".to_owned(),
        handle: "ada".into(),
        user_type: UserType::Regular,
        apps: ["functions".to_owned()].into(),
        generation: 0,
    }
}

pub(crate) fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
