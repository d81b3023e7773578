//! Which headers pass the gateway.

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
const OURS: [&str; 12] = [
    "authorization",
    "content-length",
    "cookie",
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
/// A name with underscores is taken for the one with hyphens: some servers read them alike.
pub(crate) fn passes_inward(name: &str, listed: &Listed) -> bool {
    let hyphenated = name.replace('_', "-");
    passes(name, &hyphenated, listed)
        && !OURS.contains(&hyphenated.as_str())
        && !IDENTITY.iter().any(|prefix| hyphenated.starts_with(prefix))
}

/// Tells whether a service's header reaches the client. `name` is in lower case.
pub(crate) fn passes_outward(name: &str, listed: &Listed) -> bool {
    passes(name, name, listed)
        && !matches!(name, "content-length" | "x-request-id")
        && !name.starts_with("x-slipway")
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
    fn everything_else_passes() {
        for name in ["accept", "content-type", "idempotency-key", "user-agent", "if-none-match", "x-custom"] {
            assert!(passes_inward(name, &nothing()), "{name}");
        }
        for name in ["content-type", "www-authenticate", "retry-after", "set-cookie", "x-user-id"] {
            assert!(passes_outward(name, &nothing()), "{name}");
        }
    }

    #[test]
    fn a_marker_of_the_platform_does_not_reach_the_client() {
        assert!(!passes_outward("x-slipway-function-outcome", &nothing()));
    }
}
