//! What must hold of any request, for fuzzing (`scripts/fuzz`) and for the corpus that it left.

use std::sync::LazyLock;

use http::HeaderName;

use crate::domain::headers::{Listed, names_signing_key, passes_inward};
use crate::domain::path::canonicalise;
use crate::domain::query::names_access_token;
use crate::routes::RouteTable;

static ROUTES: LazyLock<RouteTable> = LazyLock::new(RouteTable::of_the_platform);

/// What no client says to a service. The first are beginnings of names.
const NEVER_BEGINS: [&str; 3] = ["x-user", "x-slipway", "x-forwarded"];
const NEVER: [&str; 23] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-api-key",
    "x-real-ip",
    "x-request-id",
    "x-user-id",
];

/// Checks a request: its path and query in the first line, a header in each of the others.
///
/// # Panics
///
/// Where something does not hold.
pub fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    if let Some(target) = lines.next().and_then(|line| str::from_utf8(line).ok()) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        check_path(path);
        check_query(query);
    }
    let headers: Vec<(HeaderName, &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((HeaderName::from_bytes(&line[..colon]).ok()?, &line[colon + 1..]))
        })
        .collect();
    check_headers(&headers);
}

/// A path has one form, which hides nothing from whoever decodes it, and one route.
fn check_path(path: &str) {
    let Ok(once) = canonicalise(path) else { return };
    assert_eq!(canonicalise(&once).as_deref(), Ok(&*once), "of {path:?}");
    assert!(once.starts_with('/') && once.bytes().all(|byte| byte.is_ascii_graphic()), "{once:?}");
    let decoded = decode(&once);
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        assert!(name != b"." && name != b"..", "{once:?}");
    }
    if !once.starts_with("/f/") {
        assert!(!once.contains("//"), "{once:?}");
        assert!(decoded.iter().all(|byte| !byte.is_ascii_control() && !b"\\%".contains(byte)), "{once:?}");
        let slashes = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
        assert_eq!(slashes(&decoded), slashes(once.as_bytes()), "{once:?}");
    }
    check_route(&once);
}

/// The route is that of the longest prefix of whole segments which is one.
fn check_route(path: &str) {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let longest = ends
        .map(|end| &path[..end])
        .rfind(|prefix| ROUTES.find(prefix).is_some_and(|route| *route.prefix == **prefix));
    let found = ROUTES.find(path);
    assert_eq!(found.map(|route| &*route.prefix), longest, "{path:?}");
    let is_content = path == "/f" || path.starts_with("/f/");
    assert_eq!(found.is_some_and(|route| route.is_content), is_content, "{path:?}");
}

fn check_query(query: &str) {
    let names = query.split(['&', ';']).map(|pair| pair.split('=').next().unwrap_or_default());
    let is_there = names.map(decode).any(|name| name.eq_ignore_ascii_case(b"access_token"));
    assert_eq!(names_access_token(query), is_there, "{query:?}");
}

/// Nothing that `Connection` lists passes, and nothing that some server could take for what only the gateway says.
fn check_headers(headers: &[(HeaderName, &[u8])]) {
    let connection = headers.iter().filter(|(name, _)| name == "connection").map(|(_, value)| *value);
    let listed = Listed::in_connection(connection.clone());
    let is_listed = |name: &str| {
        let mut options = connection.clone().flat_map(|value| value.split(|byte| *byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    for (name, value) in headers {
        let name = name.as_str();
        if names_signing_key(name, value, &listed) {
            assert!(name == "x-api-key" && !is_listed(name) && value.len() == 36, "{name} {value:?}");
        }
        if passes_inward(name, &listed) {
            assert!(!is_listed(name), "{name} is listed");
            let plain = name.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
            assert!(!NEVER.iter().any(|never| plain.len() == never.len() && begins(plain, never)), "{name}");
            assert!(!NEVER_BEGINS.iter().any(|never| begins(plain, never)), "{name}");
        }
    }
}

/// Tells whether a name begins so for whoever takes one sign for another.
fn begins(name: &str, with: &str) -> bool {
    let is_sign = |byte: u8| !byte.is_ascii_alphanumeric();
    let alike = |(found, expected): (u8, u8)| found == expected || is_sign(found) && is_sign(expected);
    name.len() >= with.len() && name.bytes().zip(with.bytes()).all(alike)
}

/// Decodes what is percent-encoded, once, and leaves what is no encoding.
fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) if *byte == b'%' => {
                decoded.push(code);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_hold_of_all_that_fuzzing_came_across() {
        slipway_testkit::check_corpus("requests", check);
    }
}
