//! Passwords that are tried first: words in their usual disguises, and walks over a keyboard.
//!
//! There is no list of them, but rules over a list of words, which cover far more than the words (see the tests).

use std::collections::HashSet;
use std::sync::LazyLock;

/// The words that common passwords are made of, one a line.
static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// What fingers run along, forwards or backwards: rows and columns of keyboards, and the alphabet.
const TRACKS: [&str; 24] = [
    "1234567890",
    "0123456789",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "8ik",
    "9ol",
    "1qay",
    "6zhn",
    "147258369",
    "159753",
];

/// The shortest part of a track that counts as a walk.
const WALK: usize = 3;
/// The longest text that, over and over, makes a common password.
const UNIT: usize = 4;

/// Tells whether a password is a common one in one of its usual disguises: in any case, with figures and signs for
/// letters (`P@ssw0rd`), with figures and signs before or after it (`Summer2026!`), two words together
/// (`dragon-monkey`), a walk over the keyboard (`qwertasdf`), or a few characters over and over (`abcabcabc`).
pub(crate) fn is_well_known(text: &str) -> bool {
    let lower = text.to_lowercase();
    let undisguised: String = lower.chars().map(undisguise).collect();
    let bare_undisguised = bare(&lower).chars().map(undisguise).collect();
    let forms =
        [bare(&lower).to_owned(), bare(&undisguised).to_owned(), bare_undisguised, lower, undisguised];
    forms.iter().any(|form| is_common(form))
}

fn is_common(form: &str) -> bool {
    let joined: Vec<char> = form.chars().filter(|character| character.is_alphanumeric()).collect();
    let joined_text: String = joined.iter().collect();
    WORDS.contains(form)
        || WORDS.contains(joined_text.as_str())
        || is_two_words(&joined_text)
        || is_walk(&joined)
        || is_repetition(&joined)
}

/// Cuts off all that is no letter at both ends.
fn bare(word: &str) -> &str {
    word.trim_matches(|character: char| !character.is_alphabetic())
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

fn is_two_words(text: &str) -> bool {
    let splits = text.char_indices().map(|(at, _)| text.split_at(at));
    splits.skip(1).any(|(first, second)| WORDS.contains(bare(first)) && WORDS.contains(bare(second)))
}

/// Tells whether the text is nothing but parts of tracks.
fn is_walk(text: &[char]) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let steps = TRACKS.iter().map(|track| follows(track, rest)).max().unwrap_or_default();
        if steps < WALK {
            return false;
        }
        rest = &rest[steps..];
    }
    !text.is_empty()
}

/// Counts the characters that follow a track, one way or the other.
fn follows(track: &str, text: &[char]) -> usize {
    let along = |track: &mut dyn Iterator<Item = char>| {
        track
            .skip_while(|step| Some(step) != text.first())
            .zip(text)
            .take_while(|(step, c)| step == *c)
            .count()
    };
    along(&mut track.chars()).max(along(&mut track.chars().rev()))
}

/// Tells whether the text is a few characters over and over.
fn is_repetition(text: &[char]) -> bool {
    (1..=UNIT.min(text.len() / 2)).any(|unit| text.iter().zip(&text[unit..]).all(|(one, next)| one == next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BrokenRule, Password, PasswordPolicy};

    #[test]
    fn common_passwords_are_known_in_their_usual_disguises() {
        for text in [
            "P@ssw0rd!",
            "Password123!",
            "Qwerty12345!",
            "Summer2026!",
            "!!Letmein!!",
            "AAAAAAAA!",
            "Adm1n$$$",
            "Dragon-Monkey!",
            "passwordpassword",
            "PasswordAdmin2026!",
            "qwertasdf",
            "Qwertzuiop!",
            "1qaz2wsx3edc",
            "zaq12wsx",
            "987654321",
            "abcdefghijklmno",
            "abcabcabcabc",
            "Haha!Haha!",
        ] {
            assert!(is_well_known(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_common_is_not_taken_for_it() {
        for text in [
            "Correct horse battery",
            "k7#Vq2!mZp9",
            "Ünïcödé-Straße",
            "swordfish under glass",
            "",
            "9 lives of Tom",
        ] {
            assert!(!is_well_known(text), "{text}");
        }
    }

    #[test]
    fn far_more_than_three_thousand_passwords_that_keep_the_other_rules_are_refused() {
        let ends = ["123!", "1234!", "2024!", "2025!", "2026!", "@123", "#1234", "!2026", "$$$$"];
        let mut refused = HashSet::new();
        for word in WORDS.iter().filter(|word| word.len() >= 4 && word.chars().all(char::is_alphabetic)) {
            let mut capitalised = word.to_uppercase();
            capitalised.replace_range(1.., &word[1..]);
            for end in ends {
                let password = format!("{capitalised}{end}");
                let broken = Password::parse(&password, &PasswordPolicy::default()).err().unwrap_or_default();
                assert!(broken.contains(&BrokenRule::TooCommon), "{password}");
                if broken == [BrokenRule::TooCommon] {
                    refused.insert(password);
                }
            }
        }
        assert!(refused.len() >= 3_000, "{}", refused.len());
    }
}
