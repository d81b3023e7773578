use std::path::{Path, PathBuf};
use std::time::Duration;

use slipway_config::Reader;
use slipway_db::DatabaseConfig;
use slipway_mail::MailConfig;
use slipway_redis::RedisUrl;
use slipway_web::ServerConfig;

use crate::domain::{
    Email, Password, PasswordPolicy, PublicUrl, RegistrationMode, RegistrationRules, Username,
};
use crate::service::{AuditSettings, Delivery, HashingSettings, LetterSettings, Superuser};

/// How long a sign-in waits for its turn before it is told to come again.
const HASHING_PATIENCE: Duration = Duration::from_secs(3);
/// About what a thread does within that patience.
const QUEUE_PER_THREAD: usize = 16;

/// The settings of auth.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub server: ServerConfig,
    /// Its database.
    pub database: DatabaseConfig,
    /// Where its key files are.
    pub keys_dir: PathBuf,
    /// The cost of a password's hash: bcrypt's, a power of two.
    pub bcrypt_cost: u32,
    pub(crate) hashing: HashingSettings,
    pub(crate) password_policy: PasswordPolicy,
    pub(crate) registration: RegistrationRules,
    pub(crate) letters: Option<LetterSettings>,
    /// Whether the routes for everybody are limited.
    pub limits: bool,
    /// Through which gateways hear of revocations at once.
    pub redis: Option<RedisUrl>,
    pub(crate) audit: AuditSettings,
    pub(crate) superuser: Superuser,
}

impl Config {
    /// Reads the settings; see README.md for the list.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let password_policy = read_policy(reader);
        let letters = read_letters(reader);
        let registration = read_registration(reader, letters.is_some());
        Self {
            server: ServerConfig::read(reader, "AUTH", 8101, 9101),
            database: DatabaseConfig::read(reader, "AUTH"),
            keys_dir: reader.required("KEYS_DIR").into(),
            bcrypt_cost: reader.within("AUTH_BCRYPT_COST", 12, 12..=16),
            hashing: read_hashing(reader),
            password_policy,
            registration,
            letters,
            limits: reader.or("AUTH_LIMITS", true),
            redis: RedisUrl::read(reader),
            audit: read_audit(reader),
            superuser: read_superuser(reader, &password_policy),
        }
    }
}

/// Without a file of its own, and without a state directory on this machine, no head is signed.
fn read_audit(reader: &mut Reader<'_>) -> AuditSettings {
    let state: Option<String> = reader.optional("STATE_DIR");
    let default = state.map(|directory| Path::new(&directory).join("audit-heads.jsonl"));
    let given: Option<String> = reader.optional("AUDIT_HEADS_FILE");
    AuditSettings {
        heads_file: given.map(PathBuf::from).or(default),
        heads_every: Duration::from_secs(reader.within("AUDIT_HEADS_EVERY_SECONDS", 60, 1..=86_400)),
    }
}

fn read_hashing(reader: &mut Reader<'_>) -> HashingSettings {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = reader.within("AUTH_HASHING_THREADS", processors, 1..=256);
    let queue = reader.within("AUTH_HASHING_QUEUE", threads * QUEUE_PER_THREAD, 1..=100_000);
    HashingSettings { threads, queue, patience: HASHING_PATIENCE }
}

fn read_policy(reader: &mut Reader<'_>) -> PasswordPolicy {
    let usual = PasswordPolicy::default();
    PasswordPolicy {
        min_length: reader.within("AUTH_PASSWORD_MIN_LENGTH", usual.min_length, PasswordPolicy::MIN_LENGTHS),
        composition: reader.or("AUTH_PASSWORD_COMPOSITION", usual.composition),
    }
}

/// Without an SMTP server, letters can be had for development alone: their links go to the log.
fn read_letters(reader: &mut Reader<'_>) -> Option<LetterSettings> {
    let mail = MailConfig::read(reader);
    let public_url: Option<PublicUrl> = reader.optional("PUBLIC_URL");
    let dev_mode = reader.or("DEV_MODE", false);
    if mail.is_some() && public_url.is_none() && !dev_mode {
        reader.refuse("PUBLIC_URL", "is not set, though SMTP_URL is: links in letters begin with it");
    }
    let delivery = mail.map(Delivery::Smtp).or(dev_mode.then_some(Delivery::Log))?;
    Some(LetterSettings { delivery, public_url: public_url.unwrap_or_else(PublicUrl::local) })
}

fn read_registration(reader: &mut Reader<'_>, has_letters: bool) -> RegistrationRules {
    let email_verification = reader.or("AUTH_EMAIL_VERIFICATION", false);
    if email_verification && !has_letters {
        reader.refuse("AUTH_EMAIL_VERIFICATION", "needs SMTP_URL, or DEV_MODE=true");
    }
    RegistrationRules { mode: reader.or("AUTH_REGISTRATION", RegistrationMode::Open), email_verification }
}

fn read_superuser(reader: &mut Reader<'_>, policy: &PasswordPolicy) -> Superuser {
    let dev_mode = reader.or("DEV_MODE", false);
    Superuser {
        username: reader.or("ADMIN_USERNAME", Username::admin()),
        email: reader.or("ADMIN_EMAIL", Email::admin()),
        password: reader.optional("ADMIN_PASSWORD").map(|text| read_password(reader, text, dev_mode, policy)),
    }
}

/// A password that breaks the policy, such as a well-known one, will do for development alone.
fn read_password(reader: &mut Reader<'_>, text: String, dev_mode: bool, policy: &PasswordPolicy) -> Password {
    if let Err(broken) = Password::parse(&text, policy)
        && !dev_mode
    {
        for rule in broken {
            reader.refuse("ADMIN_PASSWORD", rule.detail());
        }
    }
    Password::unchecked(text)
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    fn faults(password: &str, dev_mode: &str) -> String {
        let settings = Settings::from_pairs([
            ("AUTH_DATABASE_URL", "postgres://"),
            ("KEYS_DIR", "/keys"),
            ("ADMIN_PASSWORD", password),
            ("DEV_MODE", dev_mode),
        ]);
        let mut reader = Reader::new(&settings);
        Config::read(&mut reader);
        reader.finish().err().map(|faults| faults.to_string()).unwrap_or_default()
    }

    #[test]
    fn passwords_are_hashed_at_a_cost_of_12_at_least() {
        let read = |cost: &str| {
            let settings = Settings::from_pairs([("AUTH_BCRYPT_COST", cost)]);
            let mut reader = Reader::new(&settings);
            let cost = Config::read(&mut reader).bcrypt_cost;
            (cost, reader.finish().unwrap_err().to_string())
        };
        let none = Settings::default();
        assert_eq!(Config::read(&mut Reader::new(&none)).bcrypt_cost, 12);
        assert!(!read("12").1.contains("AUTH_BCRYPT_COST"));
        for cost in ["11", "17"] {
            assert!(read(cost).1.contains("AUTH_BCRYPT_COST must lie in 12..=16"));
        }
    }

    #[test]
    fn verification_needs_letters_and_letters_need_to_say_where_they_are_from() {
        let faults = |more: &[(&str, &str)]| {
            let needed = [("AUTH_DATABASE_URL", "postgres://"), ("KEYS_DIR", "/keys")];
            let settings = Settings::from_pairs(needed.iter().chain(more).copied());
            let mut reader = Reader::new(&settings);
            Config::read(&mut reader);
            reader.finish().err().map(|faults| faults.to_string()).unwrap_or_default()
        };
        let on = ("AUTH_EMAIL_VERIFICATION", "true");
        let smtp = [("SMTP_URL", "smtp://localhost"), ("MAIL_FROM", "slipway@example.org")];
        assert_eq!(faults(&[on]), "AUTH_EMAIL_VERIFICATION needs SMTP_URL, or DEV_MODE=true");
        assert_eq!(faults(&[on, ("DEV_MODE", "true")]), "");
        assert_eq!(
            faults(&smtp),
            "PUBLIC_URL is not set, though SMTP_URL is: links in letters begin with it"
        );
        assert_eq!(faults(&[on, smtp[0], smtp[1], ("PUBLIC_URL", "https://slipway.example.org")]), "");
        assert_eq!(
            faults(&[("AUTH_REGISTRATION", "ajar")]),
            "AUTH_REGISTRATION cannot be read: expected open, approval or closed"
        );
    }

    #[test]
    fn a_well_known_admin_password_will_do_for_development_alone() {
        assert_eq!(
            faults("Password123!", "false"),
            "ADMIN_PASSWORD is one of the passwords that are tried first, or close to one"
        );
        assert_eq!(faults("Password123!", "true"), "");
        assert_eq!(faults("Correct horse battery", "false"), "");
    }
}
