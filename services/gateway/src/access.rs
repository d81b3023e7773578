//! Who may pass: verifies what the caller shows, and signs who it is for the service behind.

use std::sync::Arc;

use slipway_jwt::{
    AccessVerifier, IdentitySigner, KeyError, ServiceName, SignedIdentities, TokenError, UserIdentity,
    VerifiedAccess,
};
use slipway_kernel::UserId;
use slipway_models::api_keys::{API_KEY_PREFIX, Reach};
use slipway_models::auth::ACCESS_COOKIE;

use crate::api_keys::{ApiKeys, KeyFault, Known};
use crate::auth_link::{AuthLink, Stale};
use crate::domain::cookies::{self, Doubled};

/// The guard of the routes that are for people who signed in.
pub(crate) struct Guard {
    pub(crate) verifier: Arc<AccessVerifier>,
    pub(crate) keys: Arc<ApiKeys>,
    pub(crate) signer: Arc<IdentitySigner>,
    pub(crate) link: Arc<AuthLink>,
}

/// What a request needs beside somebody who signed in: an app, and of an API key that it reaches so far there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) app: &'static str,
    pub(crate) reach: Reach,
}

/// A caller who may pass.
pub(crate) struct Admitted {
    pub(crate) user_id: UserId,
    /// The signed identity, for one service.
    pub(crate) identity: Arc<str>,
    pub(crate) credential: Credential,
}

/// What a caller was admitted by.
#[derive(Clone)]
pub(crate) enum Credential {
    /// An access token.
    Token(Arc<VerifiedAccess>),
    /// An API key.
    Key(Arc<Known>),
}

impl Credential {
    fn user_id(&self) -> UserId {
        match self {
            Self::Token(token) => token.claims.sub,
            Self::Key(known) => known.key.user_id,
        }
    }

    fn identities(&self) -> &SignedIdentities {
        match self {
            Self::Token(token) => &token.identities,
            Self::Key(known) => &known.identities,
        }
    }

    /// Returns who it is that services learn of. A key counts as a session.
    fn user(&self) -> UserIdentity {
        match self {
            Self::Token(token) => UserIdentity {
                user_id: token.claims.sub,
                session_id: token.claims.sid,
                handle: Arc::clone(&token.claims.handle),
                user_type: token.claims.user_type,
                apps: Arc::clone(&token.claims.apps),
            },
            Self::Key(known) => UserIdentity {
                user_id: known.key.user_id,
                session_id: known.key.id.as_uuid().into(),
                handle: Arc::clone(&known.handle),
                user_type: known.key.user_type,
                apps: Arc::clone(&known.apps),
            },
        }
    }
}

/// Says why a caller may not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No token is shown.
    #[error("sign in first: the request carries no access token")]
    NoToken,
    /// Several credentials are shown.
    #[error("the request carries more than one credential: show one authorization header, or one x-api-key")]
    Several,
    /// A cookie is shown twice.
    #[error(transparent)]
    Doubled(#[from] Doubled),
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The API key is not good.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The API key has no scope for the route.
    #[error(
        "the API key lacks a scope for this: a key does what its scopes name within their apps, and nothing else"
    )]
    OutOfScope,
    /// The caller was not granted the app that the route belongs to.
    #[error("the app {0} is not granted to this account")]
    NotGranted(&'static str),
    /// The gateway cannot tell at the moment.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The gateway failed.
    #[error(transparent)]
    Signing(#[from] KeyError),
}

/// The access token or API key that a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    credential: &'a str,
    /// Whether a browser adds it of itself.
    pub(crate) is_cookie: bool,
}

impl<'a> Shown<'a> {
    /// Reads the credential of a request. A header counts alone, whatever cookies come with it: no other site's page
    /// can have a browser send one. What `x-api-key` holds beside keys of ours is not for the gateway.
    pub(crate) fn read(
        authorization: impl Iterator<Item = &'a [u8]>,
        api_keys: impl Iterator<Item = &'a [u8]>,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Refusal> {
        let mut authorization = authorization.peekable();
        let mut api_keys = api_keys.filter_map(|value| str::from_utf8(value).ok()).filter(|key| is_key(key));
        if let Some(credential) = api_keys.next() {
            let is_alone = authorization.peek().is_none() && api_keys.next().is_none();
            return is_alone.then_some(Self { credential, is_cookie: false }).ok_or(Refusal::Several);
        }
        if authorization.peek().is_some() {
            return Ok(Self { credential: bearer(authorization)?, is_cookie: false });
        }
        let credential = cookies::find(cookies, ACCESS_COOKIE)?.ok_or(Refusal::NoToken)?;
        Ok(Self { credential, is_cookie: true })
    }

    /// Returns the API key, where it is one. A key in a cookie is none.
    fn key(&self) -> Option<&'a str> {
        Some(self.credential).filter(|credential| !self.is_cookie && is_key(credential))
    }
}

fn is_key(text: &str) -> bool {
    text.starts_with(API_KEY_PREFIX)
}

impl Guard {
    /// Admits a caller by what it shows, to an app where the route belongs to one, and signs who it is for `audience`.
    pub(crate) async fn admit(
        &self,
        shown: Shown<'_>,
        needed: Option<Needed>,
        audience: &ServiceName,
    ) -> Result<Admitted, Refusal> {
        self.link.check()?;
        let credential = match shown.key() {
            Some(key) => Credential::Key(self.owner_of(key, needed).await?),
            None => Credential::Token(self.holder_of(shown.credential, needed).await?),
        };
        let identity = self.signer.for_user(credential.identities(), audience, || credential.user())?;
        Ok(Admitted { user_id: credential.user_id(), identity, credential })
    }

    /// Tells whether a credential is one that was seen and was good then.
    pub(crate) fn has_seen(&self, shown: &Shown<'_>) -> bool {
        match shown.key() {
            Some(key) => self.keys.has_seen(key),
            None => self.verifier.has_seen(shown.credential),
        }
    }

    /// Tells whether what somebody was admitted by has been revoked since.
    pub(crate) fn is_revoked(&self, credential: &Credential) -> bool {
        match credential {
            Credential::Token(token) => self.verifier.is_revoked(&token.claims),
            Credential::Key(known) => self.keys.is_overtaken(known),
        }
    }

    async fn holder_of(&self, token: &str, needed: Option<Needed>) -> Result<Arc<VerifiedAccess>, Refusal> {
        let verified = match self.verifier.verify(token) {
            Err(TokenError::UnknownKey) => {
                self.link.renew_keys().await;
                self.verifier.verify(token)
            }
            verified => verified,
        }?;
        check_granted(&verified.claims.apps, needed)?;
        Ok(verified)
    }

    /// A key is for the apps that it has scopes of, and for no other route.
    async fn owner_of(&self, key: &str, needed: Option<Needed>) -> Result<Arc<Known>, Refusal> {
        let known = self.keys.find(key).await?;
        let Needed { app, reach } = needed.ok_or(Refusal::OutOfScope)?;
        if !known.key.scopes.iter().any(|scope| scope.allows(app, reach)) {
            return Err(Refusal::OutOfScope);
        }
        check_granted(&known.apps, needed)?;
        Ok(known)
    }
}

fn check_granted(apps: &[String], needed: Option<Needed>) -> Result<(), Refusal> {
    match needed {
        Some(Needed { app, .. }) if apps.iter().all(|granted| granted != app) => {
            Err(Refusal::NotGranted(app))
        }
        _ => Ok(()),
    }
}

/// Reads a bearer token (RFC 6750, section 2.1).
fn bearer<'a>(mut authorization: impl Iterator<Item = &'a [u8]>) -> Result<&'a str, Refusal> {
    let value = authorization.next().ok_or(Refusal::NoToken)?;
    if authorization.next().is_some() {
        return Err(Refusal::Several);
    }
    let (scheme, token) =
        str::from_utf8(value).ok().and_then(|value| value.split_once(' ')).ok_or(Refusal::NoToken)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim_start_matches(' '))
    } else {
        Err(Refusal::NoToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_header_counts_alone_and_a_cookie_without_one() {
        let cookie = b"__Host-slipway_access=c.o.k".as_slice();
        let read = |authorization: &[&'static str], cookies: &[&'static [u8]]| {
            let authorization = authorization.iter().map(|value| value.as_bytes());
            Shown::read(authorization, std::iter::empty(), cookies.iter().copied())
        };
        let (bearer, none): (&[_], &[_]) = (&["Bearer a.b.c"], &[]);
        assert_eq!(read(bearer, &[cookie]).unwrap(), Shown { credential: "a.b.c", is_cookie: false });
        assert_eq!(read(none, &[cookie]).unwrap(), Shown { credential: "c.o.k", is_cookie: true });
        assert!(matches!(read(&["Basic YTpi"], &[cookie]), Err(Refusal::NoToken)));
        assert!(matches!(read(none, &[cookie, cookie]), Err(Refusal::Doubled(_))));
        assert!(matches!(read(none, &[]), Err(Refusal::NoToken)));
    }

    #[test]
    fn an_api_key_is_read_from_either_header_and_from_no_cookie() {
        let read = |authorization: &[&'static str], keys: &[&'static str], cookies: &[&'static str]| {
            let bytes =
                |values: &[&'static str]| values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
            Shown::read(bytes(authorization).into_iter(), bytes(keys).into_iter(), bytes(cookies).into_iter())
        };
        let cookie = "__Host-slipway_access=slk_cookie";
        assert_eq!(read(&["Bearer slk_a"], &[], &[cookie]).unwrap().key(), Some("slk_a"));
        assert_eq!(read(&[], &["slk_a"], &[cookie]).unwrap().key(), Some("slk_a"));
        assert_eq!(read(&[], &[], &[cookie]).unwrap().key(), None);
        // What signs calls of functions is another's.
        let signing = "01999999-0000-7000-8000-000000000000";
        assert_eq!(read(&["Bearer a.b.c"], &[signing], &[]).unwrap().credential, "a.b.c");
        assert!(matches!(read(&[], &[signing], &[]), Err(Refusal::NoToken)));
        for (authorization, keys) in [
            (&["Bearer a.b.c"][..], &["slk_a"][..]),
            (&[], &["slk_a", "slk_a"]),
            (&["Bearer slk_a"], &["slk_a"]),
        ] {
            assert!(matches!(read(authorization, keys, &[]), Err(Refusal::Several)), "{keys:?}");
        }
    }

    #[test]
    fn one_bearer_token_is_read_and_nothing_else() {
        let read = |values: &[&'static str]| bearer(values.iter().map(|value| value.as_bytes()));
        assert!(matches!(read(&["Bearer a.b.c"]), Ok("a.b.c")));
        assert!(matches!(read(&["bearer  a.b.c"]), Ok("a.b.c")));
        for values in [&[][..], &[""], &["Bearer"], &["Basic YTpi"], &["Bearera.b.c"]] {
            assert!(matches!(read(values), Err(Refusal::NoToken)), "{values:?}");
        }
        assert!(matches!(read(&["Bearer a.b.c", "Bearer a.b.c"]), Err(Refusal::Several)));
    }
}
