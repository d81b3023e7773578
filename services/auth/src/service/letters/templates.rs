use slipway_mail::Template;

use crate::domain::LetterKind;

/// Returns the template of a letter; each asks for `platform` and `link`.
pub(super) const fn template(kind: LetterKind) -> Template {
    match kind {
        LetterKind::VerifyEmail => Template {
            subject: "Show that this address is yours",
            text: include_str!("../../../templates/verify_email.txt"),
            html: include_str!("../../../templates/verify_email.html"),
        },
        LetterKind::AlreadyRegistered => Template {
            subject: "You have an account already",
            text: include_str!("../../../templates/already_registered.txt"),
            html: include_str!("../../../templates/already_registered.html"),
        },
        LetterKind::ResetPassword => Template {
            subject: "Choose a new password",
            text: include_str!("../../../templates/reset_password.txt"),
            html: include_str!("../../../templates/reset_password.html"),
        },
        LetterKind::AccountMade => Template {
            subject: "An account was made for you",
            text: include_str!("../../../templates/account_made.txt"),
            html: include_str!("../../../templates/account_made.html"),
        },
        LetterKind::ResetByAdmin => Template {
            subject: "Your password was reset",
            text: include_str!("../../../templates/reset_by_admin.txt"),
            html: include_str!("../../../templates/reset_by_admin.html"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_says_where_it_is_from_and_has_its_link_in_both_forms() {
        for kind in [
            LetterKind::VerifyEmail,
            LetterKind::AlreadyRegistered,
            LetterKind::ResetPassword,
            LetterKind::AccountMade,
            LetterKind::ResetByAdmin,
        ] {
            let letter = template(kind).fill(&[("platform", "https://<x>"), ("link", "https://x/a?b&c")]);
            assert!(letter.text.contains("at https://<x>") && letter.text.contains("\nhttps://x/a?b&c\n"));
            assert!(letter.html.contains("at https://&lt;x&gt;"), "{}", letter.html);
            assert!(letter.html.contains("<a href=\"https://x/a?b&amp;c\">https://x/a?b&amp;c</a>"));
            assert!(!letter.text.contains("{{") && !letter.html.contains("{{"), "{kind:?}");
        }
    }
}
