use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use slipway_config::Reader;
use slipway_db::Database;
use slipway_idempotency::Idempotency;
use slipway_jwt::{AccessIssuer, IdentityVerifier, SecretKey, ServiceName, SigningKeys, TrustedKeys};
use slipway_kernel::{Clock as _, SharedClock, SystemClock};
use slipway_limits::Limiter;
use slipway_models::auth::REVOCATIONS_CHANNEL;
use slipway_redis::Nudges;
use slipway_sealing::{AddressSeal, SealingKeys};
use slipway_telemetry::{Metrics, MetricsError};
use slipway_web::{Application, BoxError, Context, Readiness, Service};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::config::Config;
use crate::service::{
    Accounts, ApiKeys, AuditLog, DetailsSeal, Grants, Groups, HashingOutcomes, LetterSender, LetterSettings,
    Letters, Limits, LinkTokens, Networks, PasswordChanges, Passwords, People, Profiles, Purge, Recovery,
    Revocations, Sessions, TokenOperations, Tokens, ensure_superuser, follow_signing_keys,
};
use crate::{commands, routes};

/// The tables of auth.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

const PURGE_EVERY: Duration = Duration::from_hours(1);

/// Accounts, sessions and tokens.
pub struct Auth;

impl Service for Auth {
    const NAME: &'static str = "auth";
    const ABOUT: &'static str = "accounts, sessions and tokens";
    const COMMANDS: &'static [(&'static str, &'static str)] = commands::COMMANDS;
    type Config = Config;

    fn read(reader: &mut Reader<'_>) -> Config {
        Config::read(reader)
    }

    fn migrate(config: &Config) -> Result<(), BoxError> {
        let owner_url = config.database.owner_url.as_ref().ok_or("AUTH_DATABASE_OWNER_URL is not set")?;
        let names = slipway_db::migrate(owner_url, MIGRATIONS)?;
        tracing::info!(migrations = names.len(), "the database is up to date");
        Ok(())
    }

    fn command(config: &Config, name: &str) -> Option<Result<String, BoxError>> {
        let outcome = commands::run(name, &config.keys_dir, SystemClock.now())?;
        Some(outcome.map_err(BoxError::from))
    }

    async fn build(config: Config, context: Context) -> Result<Application, BoxError> {
        let Context { clock, metrics, stop } = context;
        let db = Database::new(&config.database, &metrics)?;
        let (keys, audit) = tokio::task::spawn_blocking({
            let (config, db, clock) = (config.clone(), db.clone(), Arc::clone(&clock));
            let outcomes = HashingOutcomes::new(&metrics)?;
            move || {
                let keys = Keys::load(&config, outcomes, Arc::clone(&clock))?;
                let addresses = keys.addresses.clone();
                let audit = AuditLog::open(db, clock, Arc::clone(&keys.audit), addresses, &config.audit)
                    .map_err(|fault| format!("the file of signed heads (AUDIT_HEADS_FILE): {fault}"))?;
                Ok::<_, BoxError>((keys, audit))
            }
        })
        .await??;
        let limits = limit(&config, &keys, &db, &metrics)?;
        tokio::spawn(follow_signing_keys(config.keys_dir.clone(), Arc::clone(&keys.issuer), stop.clone()));
        let letters = send_letters(config.letters, &db, &keys, &clock, &stop)?;
        let accounts = Accounts {
            db: db.clone(),
            passwords: keys.passwords.clone(),
            letters: letters.clone(),
            rules: config.registration,
            clock: Arc::clone(&clock),
        };
        let operations = TokenOperations::new(&metrics)?;
        let nudges =
            config.redis.as_ref().map(|redis| Nudges::start(redis, REVOCATIONS_CHANNEL, stop.clone()));
        let revocations = Revocations::new(db.clone(), operations.clone(), nudges, Arc::clone(&clock));
        let profiles = Profiles::new(db.clone(), Arc::clone(&keys.sealing), Arc::clone(&clock));
        tokio::spawn(profiles.clone().seal_anew(stop.clone()));
        let seal = DetailsSeal::new(keys.sealing);
        tokio::spawn(seal.clone().seal_anew(db.clone(), stop.clone()));
        let sessions = Sessions {
            db: db.clone(),
            passwords: keys.passwords,
            tokens: Tokens::new(keys.issuer, Arc::clone(&keys.secret)),
            seal,
            networks: Networks::new(Arc::clone(&keys.secret)),
            revocations: revocations.clone(),
            operations,
            email_verification: config.registration.email_verification,
            clock: Arc::clone(&clock),
        };
        let api_keys = ApiKeys::beside(&sessions, Arc::clone(&keys.secret));
        let recovery = Recovery::beside(&sessions, letters.clone(), LinkTokens::new(keys.secret));
        let changes = PasswordChanges::beside(&sessions);
        let people = People::beside(&sessions, letters);
        let (groups, grants) = (Groups::beside(&sessions), Grants::beside(&sessions));
        ensure_superuser(&db, &accounts, config.superuser.clone())
            .await
            .map_err(|fault| format!("the first superuser (ADMIN_USERNAME, ADMIN_EMAIL): {fault}"))?;
        let keeping = audit.clone().keep(config.audit.heads_every, &stop);
        let idempotency = Data::new(Idempotency::new(db.clone(), Arc::clone(&clock)));
        tokio::spawn(purge(Purge::new(db.clone(), clock), stop));

        let readiness = Readiness::default().with("database", move || {
            let db = db.clone();
            async move { db.ping().await.map_err(|fault| fault.to_string()) }
        });
        let (accounts, sessions, verifier) =
            (Data::new(accounts), Data::new(sessions), Data::new(keys.verifier));
        let (revocations, log) = (Data::new(revocations), Data::new(audit));
        let addresses = Data::new(keys.addresses);
        let (changes, policy) = (Data::new(changes), Data::new(config.password_policy));
        let (groups, grants) = (Data::new(groups), Data::new(grants));
        let (recovery, profiles, people) = (Data::new(recovery), Data::new(profiles), Data::new(people));
        let api_keys = Data::new(api_keys);
        let application = Application::bind(Self::NAME, &config.server, metrics, readiness, move |app| {
            app.app_data(accounts.clone()).app_data(sessions.clone()).app_data(verifier.clone());
            app.app_data(revocations.clone()).app_data(log.clone()).app_data(addresses.clone());
            app.app_data(changes.clone()).app_data(policy.clone()).app_data(recovery.clone());
            app.app_data(profiles.clone()).app_data(people.clone()).app_data(api_keys.clone());
            app.app_data(groups.clone()).app_data(grants.clone()).app_data(idempotency.clone());
            if let Some(limits) = &limits {
                app.app_data(limits.clone());
            }
            routes::configure(app);
        })?;
        Ok(application.on_stop(keeping.settle()))
    }

    fn openapi() -> OpenApi {
        routes::Documentation::openapi()
    }
}

/// All that comes from key files.
struct Keys {
    issuer: Arc<AccessIssuer>,
    secret: Arc<SecretKey>,
    audit: Arc<SecretKey>,
    /// Seals the addresses on the audit log, and those on their way there. Of its own, as the log is kept for good.
    addresses: AddressSeal,
    passwords: Passwords,
    sealing: Arc<SealingKeys>,
    verifier: IdentityVerifier,
}

impl Keys {
    /// Migrates first where it may, so that everything slow at a start is in one place. Blocking: making the first
    /// RSA key takes seconds.
    fn load(config: &Config, outcomes: HashingOutcomes, clock: SharedClock) -> Result<Self, BoxError> {
        if config.database.owner_url.is_some() {
            Auth::migrate(config)?;
        }
        let name: ServiceName = Auth::NAME.parse()?;
        let trusted = TrustedKeys::load(&config.keys_dir)?;
        let secret = Arc::new(SecretKey::load_or_create(&config.keys_dir, Auth::NAME)?);
        let signing = SigningKeys::load_or_create(&config.keys_dir)?;
        let passwords = Passwords::new(Arc::clone(&secret), config.bcrypt_cost, config.hashing, outcomes)?;
        Ok(Self {
            issuer: Arc::new(AccessIssuer::new(signing, Arc::clone(&clock))),
            secret,
            addresses: AddressSeal::load_or_create(&config.keys_dir, "audit")?,
            audit: Arc::new(SecretKey::load_or_create(&config.keys_dir, "audit")?),
            passwords,
            sealing: Arc::new(SealingKeys::load_or_create(&config.keys_dir, Auth::NAME)?),
            verifier: IdentityVerifier::new(name, Arc::new(trusted), clock),
        })
    }
}

/// Limits the routes for everybody, where they are to be.
fn limit(
    config: &Config,
    keys: &Keys,
    db: &Database,
    metrics: &Metrics,
) -> Result<Option<Data<Limits>>, MetricsError> {
    if !config.limits {
        return Ok(None);
    }
    let limiter = Limiter::new(config.redis.as_ref(), metrics)?;
    Ok(Some(Data::new(Limits::new(limiter, Arc::clone(&keys.secret), db.clone()))))
}

/// Has letters sent that are ordered, where there is a way to send them.
fn send_letters(
    settings: Option<LetterSettings>,
    db: &Database,
    keys: &Keys,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Result<Letters, BoxError> {
    let Some(settings) = settings else { return Ok(Letters::none()) };
    let (seal, tokens) = (Arc::clone(&keys.sealing), LinkTokens::new(Arc::clone(&keys.secret)));
    let sender = LetterSender::new(settings, db.clone(), Arc::clone(&seal), tokens, Arc::clone(clock))?;
    let wake = Arc::new(Notify::new());
    tokio::spawn(sender.send_all(Arc::clone(&wake), stop.clone()));
    Ok(Letters::new(seal, wake))
}

async fn purge(purge: Purge, stop: CancellationToken) {
    let mut due = tokio::time::interval(PURGE_EVERY);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        match purge.run().await {
            Ok(0) => {}
            Ok(purged) => tracing::info!(rows.purged = purged, "purged sessions and tokens that had ended"),
            Err(fault) => tracing::warn!(error = %fault, "what has ended was not purged"),
        }
    }
}
