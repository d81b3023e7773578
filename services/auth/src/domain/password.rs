use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use zeroize::Zeroizing;

/// A password that keeps the policy. It is wiped from memory when it is dropped, and never printed.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

/// A rule of the policy that a password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokenRule {
    TooShort,
    TooLong,
    NoUpperCase,
    NoSpecial,
    ContainsTest,
    TooCommon,
}

const LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;

/// The words that common passwords are made of, one a line.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

impl Password {
    /// Checks a new password; names every rule it breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<BrokenRule>> {
        let length = text.chars().count();
        let special = |character: char| !character.is_alphanumeric() && !character.is_control();
        let checks = [
            (length >= *LENGTHS.start(), BrokenRule::TooShort),
            (length <= *LENGTHS.end(), BrokenRule::TooLong),
            (text.chars().any(char::is_uppercase), BrokenRule::NoUpperCase),
            (text.chars().any(special), BrokenRule::NoSpecial),
            (!text.to_lowercase().contains("test"), BrokenRule::ContainsTest),
            (length > *LENGTHS.end() || !is_well_known(text), BrokenRule::TooCommon),
        ];
        let broken: Vec<_> = checks.into_iter().filter(|(kept, _)| !kept).map(|(_, rule)| rule).collect();
        if broken.is_empty() { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(broken) }
    }

    /// Takes a password that need not keep the policy: one that was made up here, or is for development.
    pub(crate) fn unchecked(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl BrokenRule {
    /// Says what the rule asks for.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::TooShort => "must have at least 8 characters",
            Self::TooLong => "must have at most 128 characters",
            Self::NoUpperCase => "must have an upper-case letter",
            Self::NoSpecial => "must have a special character, such as ! or a space",
            Self::ContainsTest => "must not contain the word test",
            Self::TooCommon => "is one of the passwords that are tried first, or close to one",
        }
    }
}

/// Tells whether a password is a common word in one of its usual disguises: in any case, with figures and signs for
/// letters (`P@ssw0rd`), and with figures and signs before or after it (`Summer2026!`).
fn is_well_known(text: &str) -> bool {
    let lower = text.to_lowercase();
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphabetic()).to_owned();
    let undisguised: String = lower.chars().map(undisguise).collect();
    [
        lower.clone(),
        bare(&lower),
        bare(&undisguised),
        undisguised,
        bare(&lower).chars().map(undisguise).collect(),
    ]
    .iter()
    .any(|form| COMMON.contains(form.as_str()) || is_run(form))
}

const fn undisguise(character: char) -> char {
    match character {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Tells whether the text is one character over and over.
fn is_run(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| characters.all(|character| character == first))
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_password_is_taken() {
        for text in ["Correct horse battery", "Ünïcödé-Straße", &format!("A!{}", "x7".repeat(63))] {
            assert!(Password::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        let broken = |text: &str| Password::parse(text).err().unwrap_or_default();
        assert_eq!(
            broken("mytest"),
            [BrokenRule::TooShort, BrokenRule::NoUpperCase, BrokenRule::NoSpecial, BrokenRule::ContainsTest]
        );
        assert_eq!(broken(&format!("A!{}", "x7".repeat(64))), [BrokenRule::TooLong]);
        assert_eq!(broken("TeStimony!"), [BrokenRule::ContainsTest]);
    }

    #[test]
    fn common_passwords_are_refused_in_their_usual_disguises() {
        for text in [
            "P@ssw0rd!",
            "Password123!",
            "Qwerty12345!",
            "Summer2026!",
            "!!Letmein!!",
            "AAAAAAAA!",
            "Adm1n$$$",
        ] {
            assert_eq!(Password::parse(text).err(), Some(vec![BrokenRule::TooCommon]), "{text}");
        }
    }
}
