//! Who may pass: verifies what the caller shows, and signs who it is for the service behind.

use std::sync::Arc;

use slipway_jwt::{AccessVerifier, IdentitySigner, KeyError, ServiceName, TokenError, UserIdentity};
use slipway_kernel::UserId;
use slipway_models::auth::ACCESS_COOKIE;

use crate::auth_link::{AuthLink, Stale};
use crate::domain::cookies::{self, Doubled};

/// The guard of the routes that are for people who signed in.
pub(crate) struct Guard {
    pub(crate) verifier: Arc<AccessVerifier>,
    pub(crate) signer: Arc<IdentitySigner>,
    pub(crate) link: Arc<AuthLink>,
}

/// A caller who may pass.
pub(crate) struct Admitted {
    pub(crate) user_id: UserId,
    /// The signed identity, for one service.
    pub(crate) identity: Arc<str>,
}

/// Says why a caller may not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No token is shown.
    #[error("sign in first: the request carries no access token")]
    NoToken,
    /// Several credentials are shown.
    #[error("the request carries more than one authorization header")]
    Several,
    /// A cookie is shown twice.
    #[error(transparent)]
    Doubled(#[from] Doubled),
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
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

/// The access token that a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    token: &'a str,
    /// Whether a browser adds it of itself.
    pub(crate) is_cookie: bool,
}

impl<'a> Shown<'a> {
    /// Reads the token of a request. An `authorization` header counts alone, whatever cookies come with it: no other
    /// site's page can have a browser send one.
    pub(crate) fn read(
        authorization: impl Iterator<Item = &'a [u8]>,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Refusal> {
        let mut authorization = authorization.peekable();
        if authorization.peek().is_some() {
            return Ok(Self { token: bearer(authorization)?, is_cookie: false });
        }
        let token = cookies::find(cookies, ACCESS_COOKIE)?.ok_or(Refusal::NoToken)?;
        Ok(Self { token, is_cookie: true })
    }
}

impl Guard {
    /// Admits a caller by the token that it shows, to `app` where the route belongs to one, and signs who it is for
    /// `audience`.
    pub(crate) async fn admit(
        &self,
        shown: Shown<'_>,
        app: Option<&'static str>,
        audience: &ServiceName,
    ) -> Result<Admitted, Refusal> {
        let token = shown.token;
        self.link.check()?;
        let claims = match self.verifier.verify(token) {
            Err(TokenError::UnknownKey) => {
                self.link.renew_keys().await;
                self.verifier.verify(token)
            }
            verified => verified,
        }?;
        if let Some(app) = app.filter(|app| claims.apps.iter().all(|granted| granted != app)) {
            return Err(Refusal::NotGranted(app));
        }
        let user = UserIdentity {
            user_id: claims.sub,
            session_id: claims.sid,
            handle: Arc::clone(&claims.handle),
            user_type: claims.user_type,
            apps: Arc::clone(&claims.apps),
        };
        Ok(Admitted { user_id: user.user_id, identity: self.signer.for_user(&user, audience)? })
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
            Shown::read(authorization.iter().map(|value| value.as_bytes()), cookies.iter().copied())
        };
        let (bearer, none): (&[_], &[_]) = (&["Bearer a.b.c"], &[]);
        assert_eq!(read(bearer, &[cookie]).unwrap(), Shown { token: "a.b.c", is_cookie: false });
        assert_eq!(read(none, &[cookie]).unwrap(), Shown { token: "c.o.k", is_cookie: true });
        assert!(matches!(read(&["Basic YTpi"], &[cookie]), Err(Refusal::NoToken)));
        assert!(matches!(read(none, &[cookie, cookie]), Err(Refusal::Doubled(_))));
        assert!(matches!(read(none, &[]), Err(Refusal::NoToken)));
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
