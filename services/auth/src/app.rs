use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, ServiceConfig};
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
use crate::domain::PasswordPolicy;
use crate::service::{
    Accounts, ApiKeys, AuditLog, DetailsSeal, FollowedKeys, Grants, Groups, HashingOutcomes, LetterSender,
    LetterSettings, Letters, Limits, LinkTokens, Networks, PasswordChanges, Passwords, People, Profiles,
    Purge, Recovery, Revocations, Sessions, Signers, Together, TokenOperations, Tokens, ensure_superuser,
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
        let db = Database::new(&config.database, &context.metrics)?;
        let (keys, audit) = open_keys_and_audit(&config, &db, &context).await?;
        let parts = Parts::assemble(&config, &db, keys, audit.clone(), &context)?;
        ensure_superuser(&db, &parts.accounts, config.superuser.clone())
            .await
            .map_err(|fault| format!("the first superuser (ADMIN_USERNAME, ADMIN_EMAIL): {fault}"))?;
        let Context { clock, metrics, stop } = context;
        let keeping = audit.keep(config.audit.heads_every, &stop);
        tokio::spawn(purge(Purge::new(db.clone(), clock), stop));
        let application =
            Application::bind(Self::NAME, &config.server, metrics, readiness(db), move |app| {
                parts.add_to(app);
                routes::configure(app);
            })?;
        Ok(application.on_stop(keeping.settle()))
    }

    fn openapi() -> OpenApi {
        routes::Documentation::openapi()
    }
}

/// Reads, and where there are none makes, all keys, and opens the audit log.
async fn open_keys_and_audit(
    config: &Config,
    db: &Database,
    context: &Context,
) -> Result<(Keys, AuditLog), BoxError> {
    let outcomes = HashingOutcomes::new(&context.metrics)?;
    let (config, db, clock) = (config.clone(), db.clone(), Arc::clone(&context.clock));
    let open = move || {
        let keys = Keys::load(&config, outcomes, Arc::clone(&clock))?;
        let addresses = keys.addresses.clone();
        let audit = AuditLog::open(db, clock, Arc::clone(&keys.audit), addresses, &config.audit)
            .map_err(|fault| format!("the file of signed heads (AUDIT_HEADS_FILE): {fault}"))?;
        Ok((keys, audit))
    };
    tokio::task::spawn_blocking(open).await?
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

/// The use cases, as handlers take them.
#[derive(Clone)]
struct Parts {
    accounts: Data<Accounts>,
    addresses: Data<AddressSeal>,
    api_keys: Data<ApiKeys>,
    audit: Data<AuditLog>,
    changes: Data<PasswordChanges>,
    grants: Data<Grants>,
    groups: Data<Groups>,
    idempotency: Data<Idempotency>,
    limits: Option<Data<Limits>>,
    people: Data<People>,
    policy: Data<PasswordPolicy>,
    profiles: Data<Profiles>,
    recovery: Data<Recovery>,
    revocations: Data<Revocations>,
    sessions: Data<Sessions>,
    verifier: Data<IdentityVerifier>,
}

impl Parts {
    /// Makes them, and starts what they do beside requests.
    fn assemble(
        config: &Config,
        db: &Database,
        keys: Keys,
        audit: AuditLog,
        context: &Context,
    ) -> Result<Self, BoxError> {
        let Context { clock, metrics, stop } = context;
        let followed = FollowedKeys {
            directory: config.keys_dir.clone(),
            issuer: Arc::clone(&keys.issuer),
            service: Auth::NAME.to_owned(),
            db: db.clone(),
            clock: Arc::clone(clock),
        };
        tokio::spawn(followed.follow(stop.clone()));
        let limits = limit(config, &keys, db, metrics)?;
        let letters = send_letters(config.letters.clone(), db, &keys, clock, stop)?;
        let profiles = Profiles::new(db.clone(), Arc::clone(&keys.sealing), Arc::clone(clock));
        tokio::spawn(profiles.clone().seal_anew(stop.clone()));
        let accounts = Accounts {
            db: db.clone(),
            passwords: keys.passwords.clone(),
            letters: letters.clone(),
            rules: config.registration,
            clock: Arc::clone(clock),
        };
        let sessions = keep_sessions(config, db, &keys, context)?;
        let links = LinkTokens::new(Arc::clone(&keys.secret));
        Ok(Self {
            accounts: Data::new(accounts),
            addresses: Data::new(keys.addresses),
            api_keys: Data::new(ApiKeys::beside(&sessions, keys.secret)),
            audit: Data::new(audit),
            changes: Data::new(PasswordChanges::beside(&sessions)),
            grants: Data::new(Grants::beside(&sessions)),
            groups: Data::new(Groups::beside(&sessions)),
            idempotency: Data::new(Idempotency::new(db.clone(), Arc::clone(clock))),
            limits,
            people: Data::new(People::beside(&sessions, letters.clone())),
            policy: Data::new(config.password_policy),
            profiles: Data::new(profiles),
            recovery: Data::new(Recovery::beside(&sessions, letters, links)),
            revocations: Data::new(sessions.revocations.clone()),
            sessions: Data::new(sessions),
            verifier: Data::new(keys.verifier),
        })
    }

    fn add_to(&self, app: &mut ServiceConfig) {
        app.app_data(self.accounts.clone())
            .app_data(self.addresses.clone())
            .app_data(self.api_keys.clone())
            .app_data(self.audit.clone())
            .app_data(self.changes.clone())
            .app_data(self.grants.clone())
            .app_data(self.groups.clone())
            .app_data(self.idempotency.clone())
            .app_data(self.people.clone())
            .app_data(self.policy.clone())
            .app_data(self.profiles.clone())
            .app_data(self.recovery.clone())
            .app_data(self.revocations.clone())
            .app_data(self.sessions.clone())
            .app_data(self.verifier.clone());
        if let Some(limits) = &self.limits {
            app.app_data(limits.clone());
        }
    }
}

fn readiness(db: Database) -> Readiness {
    Readiness::default().with("database", move || {
        let db = db.clone();
        async move { db.ping().await.map_err(|fault| fault.to_string()) }
    })
}

/// Makes what sessions work with, and has their details sealed anew where an older key sealed them.
fn keep_sessions(
    config: &Config,
    db: &Database,
    keys: &Keys,
    context: &Context,
) -> Result<Sessions, BoxError> {
    let Context { clock, metrics, stop } = context;
    let operations = TokenOperations::new(metrics)?;
    let nudges = config.redis.as_ref().map(|redis| Nudges::start(redis, REVOCATIONS_CHANNEL, stop.clone()));
    let seal = DetailsSeal::new(Arc::clone(&keys.sealing));
    tokio::spawn(seal.clone().seal_anew(db.clone(), stop.clone()));
    let signers = Signers::start(&keys.issuer)?;
    Ok(Sessions {
        db: db.clone(),
        passwords: keys.passwords.clone(),
        refreshes: Together::start(db.clone(), signers.clone(), Arc::clone(clock)),
        tokens: Tokens::new(Arc::clone(&keys.issuer), signers, Arc::clone(&keys.secret)),
        seal,
        networks: Networks::new(Arc::clone(&keys.secret)),
        revocations: Revocations::new(db.clone(), operations.clone(), nudges, Arc::clone(clock)),
        operations,
        email_verification: config.registration.email_verification,
        clock: Arc::clone(clock),
    })
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
