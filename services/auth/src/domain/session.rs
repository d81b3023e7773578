use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_kernel::{SessionId, UserId};
use zeroize::Zeroizing;

/// How long a session can be refreshed. It is absolute: refreshing does not move it.
const LIFETIME: TimeDelta = TimeDelta::days(30);

/// A sign-in, as long as it can be refreshed.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user_id: UserId,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) last_used_at: DateTime<Utc>,
}

impl Session {
    /// Starts a session.
    pub(crate) fn start(user_id: UserId, now: DateTime<Utc>) -> Self {
        Self {
            id: SessionId::generate(),
            user_id,
            created_at: now,
            expires_at: now + LIFETIME,
            revoked_at: None,
            last_used_at: now,
        }
    }

    /// Tells whether the session can still be used.
    pub(crate) fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// An opaque refresh token of 256 random bits, in base64url. The database holds its keyed digest alone.
pub(crate) struct RefreshToken(Zeroizing<String>);

const BYTES: usize = 32;

impl RefreshToken {
    /// Makes a token of fresh random bytes.
    pub(crate) fn from_random(bytes: [u8; BYTES]) -> Self {
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads a token that a client gave back; `None` for a text that never was one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        (bytes.len() == BYTES).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}
