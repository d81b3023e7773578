//! One form for each path, before any rule looks at it.

use std::borrow::Cow;

/// Says why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathFault {
    /// It does not begin with `/`.
    #[error("the path must begin with /")]
    NotAbsolute,
    /// A segment is empty, `.` or `..`, be it with parameters.
    #[error("the path holds an empty segment, . or ..")]
    Segment,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the path holds a % that is not followed by two hexadecimal digits")]
    Encoding,
    /// An encoded byte stands for what would change the path's meaning once it is decoded: a dot, a slash, a
    /// backslash, a percent sign or a control character.
    #[error("the path holds an encoded dot, slash, backslash, percent sign or control character")]
    Hidden,
    /// A byte may not stand in a path (RFC 3986, section 3.3).
    #[error("the path holds a character that must be percent-encoded")]
    Character,
}

/// Resources of the current version, which `/api/<resource>` stands for.
const RESOURCES: [&str; 12] = [
    "admin",
    "api-keys",
    "audit",
    "auth",
    "deployments",
    "documents",
    "executions",
    "functions",
    "groups",
    "profile",
    "tasks",
    "users",
];

/// What could make a segment of dots.
const DECODED: [(&str, &str); 3] = [("%2e", "."), ("%2f", "/"), ("%5c", "\\")];

/// Brings a path to its one form: refuses what could be read in two ways, decodes what need not be encoded
/// (RFC 3986, section 6.2.2), and resolves the aliases of `/api`.
pub(crate) fn canonicalise(path: &str) -> Result<Cow<'_, str>, PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    if let Some(function) = path.strip_prefix("/f/") {
        return check_functions(function).map(|()| path.into());
    }
    let path = normalise(path)?;
    // What follows the last slash may be empty.
    if path.contains("//") || path.split('/').any(is_dots) {
        return Err(PathFault::Segment);
    }
    // It may be one of functions, once decoded.
    if let Some(function) = path.strip_prefix("/f/") {
        check_functions(function)?;
    }
    Ok(resolve(path))
}

/// Checks a path of a function's, below `/f/`. Handle and name have one form; what lies below is the function's, and
/// keeps its own, but that no segment may be one that others would resolve.
fn check_functions(path: &str) -> Result<(), PathFault> {
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>().ok_or(PathFault::Encoding)?;
            hex(digits[0]).and(hex(digits[1]))?;
            rest = after;
        } else if !is_plain(*byte) {
            return Err(PathFault::Character);
        }
    }
    for (index, segment) in path.split('/').enumerate() {
        if index < 2 && segment.contains('%') {
            return Err(PathFault::Hidden);
        }
    }
    if path.contains('.') || path.contains('%') {
        // As whoever decodes it would read it.
        let decoded =
            DECODED.iter().fold(path.to_ascii_lowercase(), |path, (code, sign)| path.replace(code, sign));
        if decoded.split(['/', '\\']).any(is_dots) {
            return Err(PathFault::Segment);
        }
    }
    Ok(())
}

/// Tells a segment that others would resolve, be it with parameters (RFC 3986, section 3.3): some cut those off first.
fn is_dots(segment: &str) -> bool {
    let after = segment.strip_prefix("..").or_else(|| segment.strip_prefix('.'));
    after.is_some_and(|after| {
        after.is_empty() || [";", "%3B", "%3b"].iter().any(|sign| after.starts_with(sign))
    })
}

fn normalise(path: &str) -> Result<Cow<'_, str>, PathFault> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        return if bytes.iter().all(|byte| is_plain(*byte)) {
            Ok(path.into())
        } else {
            Err(PathFault::Character)
        };
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let [high, low, after @ ..] = after else { return Err(PathFault::Encoding) };
            push_decoded(&mut normal, hex(*high)? << 4 | hex(*low)?)?;
            rest = after;
        } else if is_plain(*byte) {
            normal.push(char::from(*byte));
        } else {
            return Err(PathFault::Character);
        }
    }
    Ok(normal.into())
}

fn push_decoded(normal: &mut String, byte: u8) -> Result<(), PathFault> {
    match byte {
        b'.' | b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f => return Err(PathFault::Hidden),
        _ if is_unreserved(byte) => normal.push(char::from(byte)),
        _ => {
            const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
            let digit = |four_bits: u8| char::from(DIGITS[usize::from(four_bits & 0xf)]);
            normal.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    Ok(())
}

fn hex(digit: u8) -> Result<u8, PathFault> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathFault::Encoding),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand in a path as it is, besides `%`.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/".contains(&byte)
}

fn resolve(path: Cow<'_, str>) -> Cow<'_, str> {
    let resolved = match &*path {
        "/api/login" => "/api/v1/auth/login".to_owned(),
        "/.well-known/jwks.json" => "/api/v1/auth/jwks.json".to_owned(),
        other => {
            let Some(resource) = other.strip_prefix("/api/") else { return path };
            let name = resource.split('/').next().unwrap_or_default();
            if !RESOURCES.contains(&name) {
                return path;
            }
            format!("/api/v1/{resource}")
        }
    };
    resolved.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_lead_to_the_current_version() {
        for (alias, path) in [
            ("/api/login", "/api/v1/auth/login"),
            ("/api/auth/login", "/api/v1/auth/login"),
            ("/api/functions", "/api/v1/functions"),
            ("/api/functions/", "/api/v1/functions/"),
            ("/api/%66unctions/%7ea", "/api/v1/functions/~a"),
            ("/.well-known/jwks.json", "/api/v1/auth/jwks.json"),
        ] {
            assert_eq!(canonicalise(alias).as_deref(), Ok(path));
        }
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        for path in [
            "/",
            "/api/v1/functions",
            "/api/docs",
            "/api/openapi.json",
            "/api/v1/openapi.json",
            "/api/v2/functions",
            "/api/functionsx",
            "/api/v1/functions/a:b/secrets/K%20%C3%A9",
            "/api/v1/..x/.y/z..",
        ] {
            assert_eq!(canonicalise(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (path, fault) in [
            ("", PathFault::NotAbsolute),
            ("*", PathFault::NotAbsolute),
            ("api", PathFault::NotAbsolute),
            ("//api/v1", PathFault::Segment),
            ("/api//v1", PathFault::Segment),
            ("/api/v1//", PathFault::Segment),
            ("/api/./v1", PathFault::Segment),
            ("/api/v1/../../x", PathFault::Segment),
            ("/..", PathFault::Segment),
            ("/api/..;/x", PathFault::Segment),
            ("/api/.;a=b", PathFault::Segment),
            ("/api/..%3B/x", PathFault::Segment),
            ("/api/v1/%2e%2e/x", PathFault::Hidden),
            ("/api/v1/.%2E/x", PathFault::Hidden),
            ("/api%2fv1", PathFault::Hidden),
            ("/api%5Cv1", PathFault::Hidden),
            ("/api/%252e", PathFault::Hidden),
            ("/api/%00", PathFault::Hidden),
            ("/api/%0d%0a", PathFault::Hidden),
            ("/api/%7F", PathFault::Hidden),
            ("/api/%", PathFault::Encoding),
            ("/api/%2", PathFault::Encoding),
            ("/api/%zz", PathFault::Encoding),
            ("/api/%+f", PathFault::Encoding),
            ("/api\\v1", PathFault::Character),
            ("/api/a b", PathFault::Character),
            ("/api/é", PathFault::Character),
            ("/api/a\"b", PathFault::Character),
            ("/api/a?b", PathFault::Character),
        ] {
            assert_eq!(canonicalise(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn what_lies_below_a_function_keeps_its_form() {
        for path in ["/f/ada/hello", "/f/ada/hello/", "/f/ada/hello/a%2fb//%C3%a9/%00;x=1/..a", "/f/ada//x"] {
            assert_eq!(canonicalise(path).as_deref(), Ok(path));
        }
        for (path, fault) in [
            ("/f/ada/..", PathFault::Segment),
            ("/f/../api/v1/users", PathFault::Segment),
            ("/f/ada/hello/../../../api/v1/users", PathFault::Segment),
            ("/f/ada/hello/%2e%2E/x", PathFault::Segment),
            ("/f/ada/hello/.%2e", PathFault::Segment),
            ("/f/ada/hello/%2E", PathFault::Segment),
            ("/f/ada/hello/..%2fx", PathFault::Segment),
            ("/f/ada/hello/x%2F%2e.", PathFault::Segment),
            ("/f/ada/hello/..%5cx", PathFault::Segment),
            ("/f/ada/hello/..;x/y", PathFault::Segment),
            ("/f/ada/hello/..%3bx/y", PathFault::Segment),
            ("/f/a%64a/hello", PathFault::Hidden),
            ("/%66/a%C3%A9/hello", PathFault::Hidden),
            ("/%66/ada/../hello", PathFault::Segment),
            ("/f/ada/hell%6f/x", PathFault::Hidden),
            ("/f/ada/hello/%", PathFault::Encoding),
            ("/f/ada/hello/%zz", PathFault::Encoding),
            ("/f/ada/hello/a b", PathFault::Character),
            ("/f/ada/hello/\\..\\", PathFault::Character),
        ] {
            assert_eq!(canonicalise(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn what_is_canonical_is_so_twice() {
        for path in ["/api/login", "/api/%66unctions/%C3%a9%3a", "/api/users/me"] {
            let once = canonicalise(path).unwrap().into_owned();
            assert_eq!(canonicalise(&once).as_deref(), Ok(once.as_str()));
        }
    }
}
