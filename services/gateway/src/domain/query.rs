//! Credentials in a query.

/// Tells whether a query holds an access token as RFC 6750 once allowed it, in section 2.3. The platform takes none from
/// there: what stands in a URL ends in logs and histories.
pub(crate) fn names_access_token(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        is_written_as(name.as_bytes(), b"access_token")
    })
}

/// Compares without regard to case, and to what is percent-encoded.
fn is_written_as(mut name: &[u8], mut expected: &[u8]) -> bool {
    while let Some((byte, after)) = name.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => return false,
            },
            _ => (*byte, after),
        };
        let Some((wanted, rest)) = expected.split_first() else { return false };
        if !byte.eq_ignore_ascii_case(wanted) {
            return false;
        }
        (name, expected) = (after, rest);
    }
    expected.is_empty()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_is_found_however_its_name_is_written() {
        for query in [
            "access_token=a",
            "access_token",
            "a=b&Access_Token=a",
            "a=b;access_token=a",
            "access%5ftoken=a",
            "%61%63cess%5Ftoken=",
        ] {
            assert!(names_access_token(query), "{query}");
        }
        for query in
            ["", "a=access_token", "access_tokens=a", "access_toke=a", "access%token=a", "access%5=a"]
        {
            assert!(!names_access_token(query), "{query}");
        }
    }
}
