use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use url::Url;
use zeroize::Zeroizing;

const BYTES: usize = 32;

/// The secret part of a link in a letter: 256 random bits. It is wiped from memory when it is dropped.
pub(crate) struct LinkToken(Zeroizing<String>);

impl LinkToken {
    pub(crate) fn from_random(random: [u8; BYTES]) -> Self {
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(Zeroizing::new(random))))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// What the link in a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkPurpose {
    /// Shows that an address is its holder's.
    VerifyEmail,
    /// Chooses a new password.
    ResetPassword,
}

impl LinkPurpose {
    /// Returns the name as the database keeps it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// Returns how long the link works.
    pub(crate) const fn lifetime(self) -> TimeDelta {
        match self {
            Self::VerifyEmail => TimeDelta::hours(24),
            Self::ResetPassword => TimeDelta::hours(1),
        }
    }

    const fn page(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::ResetPassword => "reset-password",
        }
    }
}

/// Where people reach the platform: what links begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// Where the gateway listens, as a developer's browser reaches it.
    pub(crate) fn local() -> Self {
        Self("http://localhost:8080".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a link. The token stands in the fragment: browsers send that to no server, in no request and no referrer.
    pub(crate) fn link(&self, purpose: LinkPurpose, token: &LinkToken) -> String {
        format!("{}/{}#token={}", self.0, purpose.page(), token.expose())
    }

    /// Makes the address of the page where a new password is asked for.
    pub(crate) fn forgot_page(&self) -> String {
        format!("{}/forgot-password", self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fault = "expected https://host, without a query";
        let url = Url::parse(text).map_err(|_| fault)?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_plain || !url.username().is_empty() {
            return Err(fault);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_its_token_in_the_fragment() {
        let token = LinkToken::from_random([0; BYTES]);
        let url: PublicUrl = "https://slipway.example.org/".parse().unwrap();
        assert_eq!(
            url.link(LinkPurpose::ResetPassword, &token),
            format!("https://slipway.example.org/reset-password#token={}", "A".repeat(43))
        );
    }

    #[test]
    fn what_links_cannot_begin_with_is_refused() {
        for text in ["", "slipway.example.org", "ftp://x", "https://x?a", "https://x#a", "https://a:b@x"] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
