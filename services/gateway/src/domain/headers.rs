//! Which headers pass the gateway.

use std::borrow::Cow;

use slipway_kernel::SigningKeyId;

/// Headers that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Requests: what the gateway writes itself, and the caller's credentials.
const OURS: [&str; 13] = [
    "authorization",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "traceparent",
    "tracestate",
    "via",
    "x-api-key",
    "x-real-ip",
    "x-request-id",
];

/// Requests: what only the gateway may say. `x-user` is `x-user-id` and all that a service could take for it.
const IDENTITY: [&str; 3] = ["x-forwarded", "x-slipway", "x-user"];

/// Answers of functions: what would hold for the whole host name and not for the answer alone. Cookies and what clears
/// or asks for credentials; what installs a worker, a transport or a report for the origin; what lets other sites read
/// with the user's credentials.
const OF_THE_HOST: [&str; 23] = [
    "accept-ch",
    "access-control-allow-credentials",
    "activate-storage-access",
    "alt-svc",
    "authentication-info",
    "clear-site-data",
    "critical-ch",
    "expect-ct",
    "nel",
    "observe-browsing-topics",
    "origin-agent-cluster",
    "origin-trial",
    "proxy-authentication-info",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "strict-transport-security",
    "www-authenticate",
];

/// The headers that a message's `Connection` names: they concern one connection only.
pub(crate) struct Listed(Vec<String>);

impl Listed {
    /// Reads all `Connection` headers of a message.
    pub(crate) fn in_connection<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let names = values.flat_map(|value| value.split(|byte| *byte == b','));
        Self(names.map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase()).collect())
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|listed| listed == name)
    }
}

/// Tells whether a client's header reaches a service. `name` is in lower case.
///
/// A name with underscores or other signs is taken for the one with hyphens: some servers read them alike.
pub(crate) fn passes_inward(name: &str, listed: &Listed) -> bool {
    let hyphenated = hyphenate(name);
    let plain = hyphenated.trim_matches('-');
    passes(name, plain, listed)
        && !OURS.contains(&plain)
        && !IDENTITY.iter().any(|prefix| plain.starts_with(prefix))
}

/// Tells whether a header with which a client signs its call of a function reaches the function-runner: the id of a key.
/// What else `x-api-key` may hold is a credential of the platform's.
pub(crate) fn names_signing_key(name: &str, value: &[u8], listed: &Listed) -> bool {
    let is_id = || str::from_utf8(value).is_ok_and(|text| text.parse::<SigningKeyId>().is_ok());
    name == "x-api-key" && !listed.contains(name) && is_id()
}

/// Tells whether a service's header reaches the client. `name` is in lower case.
pub(crate) fn passes_outward(name: &str, listed: &Listed) -> bool {
    passes(name, name, listed)
        && !matches!(name, "content-length" | "x-request-id")
        && !name.starts_with("x-slipway")
}

/// Tells whether a header of a function's answer reaches the client. `name` is in lower case. What the platform answers
/// in the function's place loses its challenge too: a browser must ask for no password on a page of a user's.
pub(crate) fn passes_from_functions(name: &str) -> bool {
    !OF_THE_HOST.contains(&name) && !name.starts_with("sec-")
}

/// Tells whether a header of another service's answer reaches the client. `name` is in lower case. What browsers are told
/// of origins is the gateway's to say, for all services alike.
pub(crate) fn passes_from_services(name: &str) -> bool {
    !name.starts_with("access-control-") && name != "x-content-type-options"
}

fn hyphenate(name: &str) -> Cow<'_, str> {
    let is_sign = |letter: char| letter != '-' && !letter.is_ascii_alphanumeric();
    if name.contains(is_sign) { name.replace(is_sign, "-").into() } else { name.into() }
}

fn passes(name: &str, hyphenated: &str, listed: &Listed) -> bool {
    !HOP_BY_HOP.contains(&hyphenated) && !listed.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Listed {
        Listed::in_connection(std::iter::empty())
    }

    #[test]
    fn what_could_carry_identity_does_not_pass_inward() {
        for name in [
            "x-user-id",
            "x_user_id",
            "x-user_id",
            "x.user.id",
            "x~user'id",
            "x-user",
            "x-user-",
            "x-userid",
            "x-slipway-identity",
            "x_slipway_identity",
            "x-forwarded-for",
            "x-forwarded",
            "x_forwarded_host",
            "forwarded",
            "x-real-ip",
            "authorization",
            "cookie",
            "x-api-key",
            "x_api_key",
            "_cookie_",
            "authorization.",
        ] {
            assert!(!passes_inward(name, &nothing()), "{name}");
        }
    }

    #[test]
    fn what_concerns_one_connection_passes_neither_way() {
        let listed = Listed::in_connection([b"close, X-Hop".as_slice(), b"x-other".as_slice()].into_iter());
        for name in ["transfer-encoding", "upgrade", "te", "keep-alive", "close", "x-hop", "x-other"] {
            assert!(!passes_inward(name, &listed), "{name}");
            assert!(!passes_outward(name, &listed), "{name}");
        }
    }

    #[test]
    fn the_id_of_a_signing_key_is_no_credential_and_passes_to_functions() {
        let id = SigningKeyId::generate().to_string();
        assert!(names_signing_key("x-api-key", id.as_bytes(), &nothing()));
        let listed = Listed::in_connection(std::iter::once(b"x-api-key".as_slice()));
        assert!(!names_signing_key("x-api-key", id.as_bytes(), &listed));
        for (name, value) in [
            ("x_api_key", id.as_bytes()),
            ("authorization", id.as_bytes()),
            ("x-api-key", b"slk_x"),
            ("x-api-key", b""),
        ] {
            assert!(!names_signing_key(name, value, &nothing()), "{name}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for name in ["accept", "content-type", "idempotency-key", "user-agent", "if-none-match", "x-custom"] {
            assert!(passes_inward(name, &nothing()), "{name}");
        }
        for name in ["content-type", "www-authenticate", "retry-after", "set-cookie", "x-user-id"] {
            assert!(passes_outward(name, &nothing()), "{name}");
        }
    }

    #[test]
    fn a_function_speaks_for_its_answer_and_not_for_its_host() {
        for name in OF_THE_HOST {
            assert!(!passes_from_functions(name), "{name}");
        }
        for name in
            ["content-type", "location", "cache-control", "etag", "x-custom", "access-control-allow-origin"]
        {
            assert!(passes_from_functions(name), "{name}");
        }
    }

    #[test]
    fn a_marker_of_the_platform_does_not_reach_the_client() {
        assert!(!passes_outward("x-slipway-function-outcome", &nothing()));
    }
}
