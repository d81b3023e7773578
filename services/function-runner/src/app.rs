use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use slipway_audit::Forwarder;
use slipway_config::Reader;
use slipway_db::Database;
use slipway_idempotency::Idempotency;
use slipway_jwt::{IdentitySigner, IdentityVerifier, ServiceName, TrustedKeys};
use slipway_kernel::SharedClock;
use slipway_runtime::{ContainerRuntime, PodmanConfig, PodmanRuntime, PodmanService};
use slipway_sealing::{AddressSeal, SealingKeys};
use slipway_web::{Application, BoxError, Context, Readiness, Service};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::build::{self, BuildQueue, Bundles, Images, Workspaces};
use crate::config::Config;
use crate::handlers::ArchiveLimit;
use crate::instances::Instances;
use crate::records::{Flusher, Records, Sweeper};
use crate::routes;
use crate::runner_id::RunnerId;
use crate::service::{
    AsyncRuns, Builds, DeletedOwners, Deployments, Executions, Functions, Invocations, RunsUnderway, Secrets,
    SigningKeys,
};

/// The tables of function-runner.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Functions, from archives to recorded runs.
pub struct FunctionRunner;

impl Service for FunctionRunner {
    const NAME: &'static str = "functions";
    const ABOUT: &'static str = "builds functions, runs them in containers and records every run";
    type Config = Config;

    fn read(reader: &mut Reader<'_>) -> Config {
        Config::read(reader)
    }

    fn migrate(config: &Config) -> Result<(), BoxError> {
        let owner_url =
            config.database.owner_url.as_ref().ok_or("FUNCTIONS_DATABASE_OWNER_URL is not set")?;
        let names = slipway_db::migrate(owner_url, MIGRATIONS)?;
        tracing::info!(migrations = names.len(), "the database is up to date");
        Ok(())
    }

    async fn build(config: Config, context: Context) -> Result<Application, BoxError> {
        let Context { clock, metrics, stop } = context;
        let db = Database::new(&config.database, &metrics)?;
        let host = tokio::task::spawn_blocking({
            let (config, clock) = (config.clone(), Arc::clone(&clock));
            move || Host::prepare(&config, clock)
        })
        .await??;
        let service = if config.is_podman_managed {
            Some(PodmanService::start(config.podman.clone()).await?)
        } else {
            None
        };
        let podman: Arc<dyn ContainerRuntime> = Arc::new(PodmanRuntime::new(PodmanConfig {
            egress: Some(config.egress.of_runner(&host.runner)),
            ..PodmanConfig::new(&config.podman.socket)
        }));
        let sweeper = Sweeper::new(db.clone(), Arc::clone(&clock), config.retention, &metrics)?;
        let parts = Parts::assemble(&config, &db, clock, &host, Arc::clone(&podman), stop.clone()).await?;
        tokio::spawn(sweeper.run(stop.clone()));
        let auth: ServiceName = "auth".parse()?;
        let functions = Arc::clone(&parts.functions);
        let deleted =
            DeletedOwners::new(db.clone(), functions, &config.audit, Arc::clone(&host.signer), auth.clone())?;
        tokio::spawn(deleted.remove_functions(stop.clone()));
        let forwarder = Forwarder::new(db.clone(), &config.audit, host.signer, auth, host.addresses.clone())?;
        tokio::spawn(forwarder.run(stop));

        let readiness = readiness(db, podman, Arc::clone(&parts.builds));
        let addresses = Data::new(host.addresses);
        let (verifier, limit) = (Data::new(host.verifier), Data::new(ArchiveLimit(config.archive_bytes)));
        let (instances, runs) = (parts.instances.clone(), parts.async_runs.clone());
        let (queue, flusher) = (parts.queue.clone(), parts.flusher.clone());
        let images = Arc::clone(&parts.images);
        let application = Application::bind(
            Self::NAME,
            &config.server,
            metrics,
            readiness,
            move |app: &mut ServiceConfig| {
                app.app_data(verifier.clone()).app_data(limit.clone()).app_data(addresses.clone());
                parts.add_to(app);
                routes::configure(app);
            },
        )?;
        Ok(application.on_stop(async move {
            queue.stop_all().await;
            images.settle().await;
            instances.stop().await;
            runs.stop().await;
            flusher.stop().await;
            if let Some(service) = service {
                service.stop().await;
            }
        }))
    }

    fn openapi() -> OpenApi {
        routes::Documentation::openapi()
    }
}

/// What the host keeps for this service.
struct Host {
    runner: RunnerId,
    verifier: IdentityVerifier,
    signer: Arc<IdentitySigner>,
    keys: Arc<SealingKeys>,
    /// Seals where requests come from, until auth has been told.
    addresses: AddressSeal,
}

impl Host {
    /// Migrates first where it may, so that everything slow at a start is in one place. Blocking.
    fn prepare(config: &Config, clock: SharedClock) -> Result<Self, BoxError> {
        if config.database.owner_url.is_some() {
            FunctionRunner::migrate(config)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&config.state_dir)?;
        let name: ServiceName = FunctionRunner::NAME.parse()?;
        let keys = SealingKeys::load_or_create(&config.keys_dir, FunctionRunner::NAME)?;
        let addresses = AddressSeal::load_or_create(&config.keys_dir, "functions-audit")?;
        let trusted = TrustedKeys::load(&config.keys_dir)?;
        Ok(Self {
            runner: RunnerId::load_or_create(&config.state_dir)?,
            signer: Arc::new(IdentitySigner::load_or_create(
                &config.keys_dir,
                name.clone(),
                Arc::clone(&clock),
            )?),
            verifier: IdentityVerifier::new(name, Arc::new(trusted), clock),
            keys: Arc::new(keys),
            addresses,
        })
    }
}

/// The use cases, as handlers take them.
#[derive(Clone)]
struct Parts {
    functions: Data<Functions>,
    deployments: Data<Deployments>,
    secrets: Data<Secrets>,
    signing_keys: Data<SigningKeys>,
    executions: Data<Executions>,
    invocations: Data<Invocations>,
    async_runs: Data<AsyncRuns>,
    idempotency: Data<Idempotency>,
    builds: Arc<Builds>,
    images: Arc<Images>,
    instances: Instances,
    flusher: Flusher,
    queue: BuildQueue,
}

impl Parts {
    async fn assemble(
        config: &Config,
        db: &Database,
        clock: SharedClock,
        host: &Host,
        podman: Arc<dyn ContainerRuntime>,
        stop: CancellationToken,
    ) -> Result<Self, BoxError> {
        // First, because it refuses a second process on the same directories before that can do any harm.
        let records = Arc::new(Records::open(config.records.clone(), db.clone(), &clock).await?);
        let flusher = Flusher::start(Arc::clone(&records));
        let (state_dir, install_dir) = (config.state_dir.clone(), config.build.install.directory.clone());
        let prepare = move || {
            build::prepare_directory(&install_dir)?;
            Ok::<_, std::io::Error>((Workspaces::prepare(&state_dir)?, Bundles::open(&state_dir)?))
        };
        let (workspaces, bundles) = tokio::task::spawn_blocking(prepare).await??;
        let bundles = Arc::new(bundles);
        let instances = Instances::start(
            config.instances.clone(),
            host.runner.clone(),
            Arc::clone(&podman),
            Arc::clone(&host.keys),
            Arc::clone(&bundles),
            stop.clone(),
        )
        .await?;
        let images =
            Arc::new(Images::new(podman, db.clone(), host.runner.clone(), config.build.clone(), bundles));
        let queue = BuildQueue::new(config.builds_at_a_time);
        let functions = Arc::new(Functions::new(
            db.clone(),
            Arc::clone(&clock),
            instances.clone(),
            Arc::clone(&images),
            queue.clone(),
            Arc::clone(&records),
        ));
        let builds = Arc::new(Builds::new(
            db.clone(),
            Arc::clone(&clock),
            Arc::clone(&functions),
            instances.clone(),
            Arc::clone(&images),
            queue.clone(),
            stop.clone(),
        ));
        tokio::spawn(Arc::clone(&builds).recover_and_sweep(workspaces.clone(), config.collection));
        let deployments = Deployments::new(
            db.clone(),
            Arc::clone(&clock),
            Arc::clone(&builds),
            Arc::clone(&records),
            queue.clone(),
            workspaces,
            config.deployments.clone(),
        );
        let secrets =
            Secrets::new(db.clone(), Arc::clone(&clock), Arc::clone(&functions), Arc::clone(&host.keys));
        let secrets = Arc::new(secrets);
        tokio::spawn(Arc::clone(&secrets).seal_anew(stop.clone()));
        let signing_keys = Arc::new(SigningKeys::new(
            db.clone(),
            Arc::clone(&clock),
            Arc::clone(&functions),
            Arc::clone(&records),
            Arc::clone(&host.keys),
        ));
        tokio::spawn(Arc::clone(&signing_keys).seal_anew(stop.clone()));
        let in_hand = Arc::new(RunsUnderway::default());
        let invocations = Arc::new(Invocations::new(
            instances.clone(),
            Arc::clone(&records),
            Arc::clone(&in_hand),
            Arc::clone(&clock),
        ));
        let async_runs = Arc::new(AsyncRuns::new(
            db.clone(),
            Arc::clone(&clock),
            Arc::clone(&functions),
            Arc::clone(&invocations),
            Arc::clone(&records),
            in_hand,
            config.async_runs.clone(),
            stop,
        ));
        tokio::spawn(Arc::clone(&async_runs).carry_out_what_is_due());
        Ok(Self {
            executions: Data::new(Executions::new(Arc::clone(&functions), records, Arc::clone(&clock))),
            invocations: invocations.into(),
            async_runs: async_runs.into(),
            functions: functions.into(),
            secrets: secrets.into(),
            signing_keys: signing_keys.into(),
            deployments: Data::new(deployments),
            idempotency: Data::new(Idempotency::new(db.clone(), clock)),
            builds,
            images,
            instances,
            flusher,
            queue,
        })
    }

    fn add_to(&self, app: &mut ServiceConfig) {
        app.app_data(self.functions.clone())
            .app_data(self.deployments.clone())
            .app_data(self.secrets.clone())
            .app_data(self.signing_keys.clone())
            .app_data(self.executions.clone())
            .app_data(self.invocations.clone())
            .app_data(self.async_runs.clone())
            .app_data(self.idempotency.clone());
    }
}

fn readiness(db: Database, podman: Arc<dyn ContainerRuntime>, builds: Arc<Builds>) -> Readiness {
    Readiness::default()
        .with("recovery", move || {
            let recovered = builds.require_recovered().map_err(|fault| fault.to_string());
            async move { recovered }
        })
        .with("database", move || {
            let db = db.clone();
            async move { db.ping().await.map_err(|fault| fault.to_string()) }
        })
        .with("podman", move || {
            let podman = Arc::clone(&podman);
            async move {
                let report = podman.report().await.map_err(|fault| fault.to_string())?;
                if report.limits_missing.is_empty() {
                    Ok(())
                } else {
                    Err(format!("this host cannot limit {}", report.limits_missing.join(", ")))
                }
            }
        })
}
