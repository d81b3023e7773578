//! Names of hosts.

use std::net::IpAddr;

/// Returns the name in a `Host` (RFC 9110, section 7.2), without its port and the dot of the root.
pub(crate) fn name(authority: &str) -> &str {
    let after_user = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match after_user.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => after_user,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Tells a host name, such as `functions.example.org`: labels of letters, digits and hyphens.
pub(crate) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Tells whether an authority names the machine that a browser runs on (RFC 6761, section 6.3).
pub(crate) fn is_this_machine(authority: &str) -> bool {
    let name = name(authority);
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_the_port() {
        for (authority, expected) in [
            ("functions.example.org", "functions.example.org"),
            ("functions.example.org:8443", "functions.example.org"),
            ("functions.example.org.:80", "functions.example.org"),
            ("u@functions.example.org:", "functions.example.org"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(name(authority), expected);
        }
    }

    #[test]
    fn a_name_has_neither_port_nor_scheme() {
        for good in ["localhost", "functions.example.org", "F-1.x"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a..b", ".a", "a.", "-a", "a:80", "https://a", "a/b", "ä", "a b", "*"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
