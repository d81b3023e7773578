//! The platform's cookies in a request.

/// Says that a request carries a cookie more than once: nobody could tell which counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request carries the cookie {0} more than once")]
pub(crate) struct Doubled(pub(crate) &'static str);

/// Finds a cookie in all `Cookie` headers of a request (RFC 6265, section 4.2.1). Names are told apart by case.
pub(crate) fn find<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    name: &'static str,
) -> Result<Option<&'a str>, Doubled> {
    let pairs = headers.flat_map(|header| header.split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| value_of(pair, name));
    let first = values.next();
    if values.next().is_some() { Err(Doubled(name)) } else { Ok(first) }
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a str> {
    let (found, value) = str::from_utf8(pair).ok()?.split_once('=')?;
    (found.trim_ascii() == name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-slipway_access";

    fn read<'a>(headers: &[&'a str]) -> Result<Option<&'a str>, Doubled> {
        find(headers.iter().map(|header| header.as_bytes()), NAME)
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        assert_eq!(read(&["theme=dark; __Host-slipway_access=a.b.c; x=y"]), Ok(Some("a.b.c")));
        assert_eq!(read(&["theme=dark", "__Host-slipway_access=a=b"]), Ok(Some("a=b")));
        for other in [
            "",
            ";",
            "__host-slipway_access=x",
            "x__Host-slipway_access=x",
            "__Host-slipway_access",
            "a=__Host-slipway_access",
        ] {
            assert_eq!(read(&[other]), Ok(None), "{other}");
        }
    }

    #[test]
    fn a_cookie_that_comes_twice_is_refused() {
        for headers in [
            &["__Host-slipway_access=a; __Host-slipway_access=a"][..],
            &["__Host-slipway_access=a", " __Host-slipway_access =b"],
        ] {
            assert_eq!(read(headers), Err(Doubled(NAME)));
        }
    }
}
