use chrono_tz::Tz;
use language_tags::LanguageTag;
use slipway_models::profile::{ProfileBody, ProfileRequest};
use url::Url;

use super::FieldFaults;

const MAX_FULL_NAME: usize = 200;
/// Without a bound, extensions make a tag as long as one likes.
const MAX_LOCALE: usize = 35;
const MAX_WEBHOOK: usize = 300;
const DISCORD_HOSTS: [&str; 4] = ["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"];

/// What a person says of themselves, each in its usual form.
#[derive(Clone, Default)]
pub(crate) struct Profile {
    pub(crate) full_name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) discord_username: Option<String>,
    pub(crate) discord_webhook: Option<String>,
}

impl Profile {
    /// Checks a request; names all that is wrong with it.
    pub(crate) fn check(request: &ProfileRequest) -> Result<Self, FieldFaults> {
        let mut faults = FieldFaults::default();
        let mut keep =
            |pointer: &str, given: &Option<String>, check: fn(&str) -> Result<String, &'static str>| {
                faults.keep(pointer, given.as_deref().map(check).transpose()).flatten()
            };
        let profile = Self {
            full_name: keep("/full_name", &request.full_name, check_full_name),
            phone: keep("/phone", &request.phone, check_phone),
            locale: keep("/locale", &request.locale, check_locale),
            time_zone: keep("/time_zone", &request.time_zone, check_time_zone),
            discord_username: keep("/discord_username", &request.discord_username, check_discord_username),
            discord_webhook: keep("/discord_webhook", &request.discord_webhook, check_discord_webhook),
        };
        if faults.fields.is_empty() { Ok(profile) } else { Err(faults) }
    }
}

impl From<Profile> for ProfileBody {
    fn from(profile: Profile) -> Self {
        let Profile { full_name, phone, locale, time_zone, discord_username, discord_webhook } = profile;
        Self { full_name, phone, locale, time_zone, discord_username, discord_webhook }
    }
}

/// Checks a person's name.
pub(crate) fn check_full_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    let sound = (1..=MAX_FULL_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if sound { Ok(name.to_owned()) } else { Err("must be 1 to 200 characters on one line") }
}

/// Takes what people write between the figures of a number away (E.164: at most 15).
fn check_phone(phone: &str) -> Result<String, &'static str> {
    let fault = "must be a number with its country code, such as +49 30 1234567";
    let bare: String = phone.chars().filter(|character| !" -./()".contains(*character)).collect();
    let figures = bare.strip_prefix('+').ok_or(fault)?;
    let sound = (7..=15).contains(&figures.len())
        && figures.bytes().all(|figure| figure.is_ascii_digit())
        && !figures.starts_with('0');
    if sound { Ok(bare) } else { Err(fault) }
}

fn check_locale(locale: &str) -> Result<String, &'static str> {
    let fault = "must be a language tag of BCP 47, such as de-AT";
    if locale.len() > MAX_LOCALE {
        return Err(fault);
    }
    let tag = LanguageTag::parse(locale).map_err(|_| fault)?;
    tag.validate().map_err(|_| fault)?;
    Ok(tag.into_string())
}

fn check_time_zone(name: &str) -> Result<String, &'static str> {
    let zone: Tz = name.parse().map_err(|_| "must be a time zone of the IANA, such as Europe/Vienna")?;
    Ok(zone.name().to_owned())
}

fn check_discord_username(name: &str) -> Result<String, &'static str> {
    let sound = (2..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte))
        && !name.contains("..");
    if sound {
        Ok(name.to_owned())
    } else {
        Err("must be a name at Discord: 2 to 32 small letters, figures, underscores and single dots")
    }
}

/// Only Discord's own hosts: whatever sends to it must not be led elsewhere, least of all into the platform's network.
fn check_discord_webhook(text: &str) -> Result<String, &'static str> {
    let fault = "must be an address such as https://discord.com/api/webhooks/1234/abcd";
    let url = Url::parse(text.trim()).map_err(|_| fault)?;
    let is_bare = url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let is_discord =
        url.scheme() == "https" && url.host_str().is_some_and(|host| DISCORD_HOSTS.contains(&host));
    let parts: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let is_webhook = match parts[..] {
        ["api", "webhooks", id, token] => {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !id.is_empty()
                && id.bytes().all(|byte| byte.is_ascii_digit())
                && !token.is_empty()
                && token.bytes().all(is_token)
        }
        _ => false,
    };
    if is_bare && is_discord && is_webhook && text.len() <= MAX_WEBHOOK { Ok(url.into()) } else { Err(fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tags_and_zones_are_kept_in_their_usual_form() {
        assert_eq!(check_phone("+49 (30) 123-45.67").as_deref(), Ok("+49301234567"));
        assert_eq!(check_locale("DE-at").as_deref(), Ok("de-AT"));
        assert_eq!(check_locale("zh-hant-tw").as_deref(), Ok("zh-Hant-TW"));
        assert_eq!(check_time_zone("Europe/Vienna").as_deref(), Ok("Europe/Vienna"));
        assert_eq!(check_time_zone("UTC").as_deref(), Ok("UTC"));
    }

    #[test]
    fn what_is_no_number_no_tag_no_zone_and_no_name_is_refused() {
        for phone in
            ["", "030 1234567", "+0301234567", "+12345", "+1234567890123456", "+49 30 CALL-ME", "+٣٤٥٦٧٨٩"]
        {
            assert!(check_phone(phone).is_err(), "{phone}");
        }
        for locale in
            ["", "d", "de_AT", "de-", "german-language-of-austria", "en-a-bb-a-cc", "x".repeat(50).as_str()]
        {
            assert!(check_locale(locale).is_err(), "{locale}");
        }
        for zone in ["", "Vienna", "Europe/Atlantis", "+01:00", "../../etc/passwd"] {
            assert!(check_time_zone(zone).is_err(), "{zone}");
        }
        for name in ["", "a", "Ada", "ada..l", "ada#1234", &"a".repeat(33)] {
            assert!(check_discord_username(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_webhook_is_discords_alone() {
        for url in [
            "https://discord.com/api/webhooks/1234/ab-c_D",
            "https://canary.discord.com/api/webhooks/1/x",
            "https://DISCORD.com:443/api/webhooks/1/x",
        ] {
            assert!(check_discord_webhook(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "http://discord.com/api/webhooks/1/x",
            "https://discord.com.evil.example/api/webhooks/1/x",
            "https://evil.example/api/webhooks/1/x",
            "https://discord.com@evil.example/api/webhooks/1/x",
            "https://ada:x@discord.com/api/webhooks/1/x",
            "https://discord.com:8443/api/webhooks/1/x",
            "https://discord.com/api/webhooks/1/x?wait=true",
            "https://discord.com/api/webhooks/1/x#a",
            "https://discord.com/api/webhooks/1/x/slack",
            "https://discord.com/api/webhooks/../webhooks/a/x",
            "https://discord.com/api/webhooks/1/",
            "https://127.0.0.1/api/webhooks/1/x",
            &format!("https://discord.com/api/webhooks/1/{}", "x".repeat(300)),
        ] {
            assert!(check_discord_webhook(url).is_err(), "{url}");
        }
    }
}
