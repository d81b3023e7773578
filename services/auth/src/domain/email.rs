use std::str::FromStr;

/// An e-mail address in lower case: something before one `@`, a host name after it, at most 254 characters (RFC 5321).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

const MAX_LENGTH: usize = 254;

impl FromStr for Email {
    type Err = &'static str;

    /// Checks an address. What is accepted can be written to; whether it exists only a letter can tell.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fault = "must be an e-mail address such as ada@example.org";
        let text = text.trim();
        let (local, host) = text.rsplit_once('@').ok_or(fault)?;
        let sound = text.len() <= MAX_LENGTH
            && (1..=64).contains(&local.len())
            && !local.contains(['@', '<', '>', '"', ',', ';', ':', '\\', '(', ')', '[', ']'])
            && !text.chars().any(|character| character.is_whitespace() || character.is_control())
            && host.split('.').all(is_label);
        if sound { Ok(Self(text.to_lowercase())) } else { Err(fault) }
    }
}

impl Email {
    /// The first superuser's, where no other is set: an address that no letter can reach (RFC 6761).
    pub(crate) fn admin() -> Self {
        Self("admin@slipway.invalid".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what stands before the `@`.
    pub(crate) fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or(&self.0, |(local, _)| local)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|character| character.is_alphanumeric() || character == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_lower_case() {
        assert_eq!(" Ada@Example.ORG ".parse::<Email>().unwrap().as_str(), "ada@example.org");
    }

    #[test]
    fn texts_that_are_no_address_are_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for text in [
            "",
            "ada",
            "@",
            "ada@",
            "@example.org",
            "a da@example.org",
            "a@b..c",
            "a@-b",
            "a\n@b",
            "a@b\0",
            &long,
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }
}
