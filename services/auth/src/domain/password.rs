use std::fmt;
use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use super::well_known::is_well_known;

/// A password that keeps the policy. It is wiped from memory when it is dropped, and never printed.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

/// What is asked of a new password. Well-known ones are refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PasswordPolicy {
    /// The fewest characters.
    pub(crate) min_length: usize,
    /// Whether it has to mix kinds of characters. NIST SP 800-63B-4 asks for length in the place of that.
    pub(crate) composition: bool,
}

impl PasswordPolicy {
    /// What the fewest characters may be set to.
    pub(crate) const MIN_LENGTHS: RangeInclusive<usize> = 8..=64;
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: *Self::MIN_LENGTHS.start(), composition: true }
    }
}

/// A rule of the policy that a password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokenRule {
    TooShort(usize),
    TooLong,
    NoUpperCase,
    NoSpecial,
    ContainsTest,
    TooCommon,
}

const MAX_LENGTH: usize = 128;

impl Password {
    /// Checks a new password; names every rule it breaks.
    pub(crate) fn parse(text: &str, policy: &PasswordPolicy) -> Result<Self, Vec<BrokenRule>> {
        let length = text.chars().count();
        let special = |character: char| !character.is_alphanumeric() && !character.is_control();
        let free = !policy.composition;
        let checks = [
            (length >= policy.min_length, BrokenRule::TooShort(policy.min_length)),
            (length <= MAX_LENGTH, BrokenRule::TooLong),
            (free || text.chars().any(char::is_uppercase), BrokenRule::NoUpperCase),
            (free || text.chars().any(special), BrokenRule::NoSpecial),
            (free || !text.to_lowercase().contains("test"), BrokenRule::ContainsTest),
            (length > MAX_LENGTH || !is_well_known(text), BrokenRule::TooCommon),
        ];
        let broken: Vec<_> = checks.into_iter().filter(|(kept, _)| !kept).map(|(_, rule)| rule).collect();
        if broken.is_empty() { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(broken) }
    }

    /// Takes a password that need not keep the policy: one to compare, one that was made up here, or one for
    /// development.
    pub(crate) fn unchecked(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl BrokenRule {
    /// Says what the rule asks for.
    pub(crate) fn detail(self) -> String {
        match self {
            Self::TooShort(least) => return format!("must have at least {least} characters"),
            Self::TooLong => "must have at most 128 characters",
            Self::NoUpperCase => "must have an upper-case letter",
            Self::NoSpecial => "must have a special character, such as ! or a space",
            Self::ContainsTest => "must not contain the word test",
            Self::TooCommon => "is one of the passwords that are tried first, or close to one",
        }
        .to_owned()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str, policy: &PasswordPolicy) -> Vec<BrokenRule> {
        Password::parse(text, policy).err().unwrap_or_default()
    }

    #[test]
    fn a_sound_password_is_taken() {
        for text in ["Correct horse battery", "Ünïcödé-Straße", &format!("A!{}", "x7".repeat(63))] {
            assert_eq!(broken(text, &PasswordPolicy::default()), [], "{text}");
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        let broken = |text: &str| broken(text, &PasswordPolicy::default());
        assert_eq!(
            broken("mytest"),
            [
                BrokenRule::TooShort(8),
                BrokenRule::NoUpperCase,
                BrokenRule::NoSpecial,
                BrokenRule::ContainsTest
            ]
        );
        assert_eq!(broken(&format!("A!{}", "x7".repeat(64))), [BrokenRule::TooLong]);
        assert_eq!(broken("TeStimony!"), [BrokenRule::ContainsTest]);
        assert_eq!(broken("P@ssw0rd!"), [BrokenRule::TooCommon]);
    }

    #[test]
    fn a_policy_of_length_alone_asks_for_no_kinds_of_characters() {
        let policy = PasswordPolicy { min_length: 15, composition: false };
        assert_eq!(broken("correct horse battery", &policy), []);
        assert_eq!(broken("contested grounds", &policy), []);
        assert_eq!(broken("Short but mixed", &policy), []);
        assert_eq!(broken("Short and mixed".get(..14).unwrap(), &policy), [BrokenRule::TooShort(15)]);
        assert_eq!(broken("passwordpassword", &policy), [BrokenRule::TooCommon]);
    }
}
