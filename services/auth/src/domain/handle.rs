use slipway_kernel::UserId;

/// A slug that names an account in URLs: `[a-z][a-z0-9-]{0,38}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handle(String);

/// Of what is taken from the name: a word before it and a number of three figures after it fit in as well.
const MAX_LENGTH: usize = 30;

impl Handle {
    /// Makes a handle of a name that a person chose; `attempt` 0 is the plain one, later ones carry a number.
    pub(crate) fn from_name(name: &str, attempt: u32) -> Self {
        let mut slug = String::with_capacity(MAX_LENGTH);
        for character in name.chars().flat_map(char::to_lowercase) {
            if character.is_ascii_alphanumeric() {
                slug.push(character);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == MAX_LENGTH {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        let start = if slug.starts_with(|first: char| first.is_ascii_lowercase()) { "" } else { "user-" };
        let start = if slug.is_empty() { "user" } else { start };
        let end = if attempt == 0 { String::new() } else { format!("-{}", attempt + 1) };
        Self(format!("{start}{slug}{end}"))
    }

    /// Makes the handle of an account whose name is worn out: nobody else has its id.
    pub(crate) fn from_id(id: UserId) -> Self {
        Self(format!("user-{}", id.as_uuid().simple()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_a_slug_of_the_name() {
        let made = |name, attempt| Handle::from_name(name, attempt).0;
        assert_eq!(made("Ada.Lovelace+x", 0), "ada-lovelace-x");
        assert_eq!(made("ada", 2), "ada-3");
        assert_eq!(made("42", 0), "user-42");
        assert_eq!(made("…", 0), "user");
        for longest in [made(&"9".repeat(500), 99), Handle::from_id(UserId::generate()).0] {
            assert!(longest.len() <= 39, "{longest}");
        }
    }
}
