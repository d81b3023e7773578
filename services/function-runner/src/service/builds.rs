use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::SharedClock;
use slipway_models::functions::{DeploymentStatus, FunctionStatus};
use slipway_runtime::RuntimeError;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::Functions;
use super::functions::{Activation, version_of};
use crate::build::{BuildQueue, Images, Ticket, Workspace};
use crate::domain::{Deployment, Version, config};
use crate::error::FunctionError;
use crate::instances::Instances;
use crate::project::Project;
use crate::store;

/// How long to wait for a database that is away.
const RETRY: Duration = Duration::from_secs(1);

/// The way of a deployment from its place in the queue to its end: built, checked, active; or failed.
///
/// Each step is a row before it begins, so a process that is killed takes it up again where the files still are.
pub(crate) struct Builds {
    pub(super) db: Database,
    pub(super) clock: SharedClock,
    pub(super) functions: Arc<Functions>,
    pub(super) instances: Instances,
    pub(super) images: Arc<Images>,
    pub(super) queue: BuildQueue,
    /// Cancelled when the service stops: deployments on their way are left for the next start.
    pub(super) stopping: CancellationToken,
    pub(super) is_recovered: AtomicBool,
    /// Where deployments are carried out: requests come on the threads of a server that stops before they end.
    tasks: Handle,
}

/// How a deployment ended before it was active.
enum End {
    /// The function was deleted.
    Gone,
    /// It cannot be built, or its handler cannot be loaded; said in words for its owner.
    Failed(String),
}

impl Builds {
    /// Carries out deployments on the current Tokio runtime.
    pub(crate) fn new(
        db: Database,
        clock: SharedClock,
        functions: Arc<Functions>,
        instances: Instances,
        images: Arc<Images>,
        queue: BuildQueue,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            db,
            clock,
            functions,
            instances,
            images,
            queue,
            stopping,
            is_recovered: AtomicBool::new(false),
            tasks: Handle::current(),
        }
    }

    /// Queues a deployment whose row is written and whose files are unpacked.
    pub(crate) fn start(self: &Arc<Self>, deployment: Deployment, project: Project, workspace: Workspace) {
        let ticket = self.queue.enter(&deployment);
        let span = tracing::info_span!(parent: Span::current(), "build", deployment.id = %deployment.id);
        self.tasks.spawn(Arc::clone(self).run(deployment, project, workspace, ticket).instrument(span));
    }

    async fn run(
        self: Arc<Self>,
        deployment: Deployment,
        project: Project,
        workspace: Workspace,
        ticket: Ticket,
    ) {
        let stop = ticket.stop().clone();
        let work = async {
            match self.attempt(&deployment, &project, &workspace, &ticket).await {
                Ok(()) => {}
                Err(End::Gone) => tracing::info!("the function was deleted while this was on its way"),
                Err(End::Failed(error)) => self.fail(&deployment, error, ticket.log().text()).await,
            }
        };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => return workspace.keep(),
            () = stop.cancelled() => {}
            () = work => {}
        }
        // Removing many files takes a moment, and the ticket says that all is over.
        let removed = slipway_telemetry::spawn_blocking(Span::current(), move || drop(workspace)).await;
        if let Err(fault) = removed {
            tracing::warn!(error = %fault, "a workspace was not removed");
        }
    }

    async fn attempt(
        &self,
        deployment: &Deployment,
        project: &Project,
        workspace: &Workspace,
        ticket: &Ticket,
    ) -> Result<(), End> {
        let _turn = ticket.turn().await;
        self.advance(deployment, DeploymentStatus::Building, ticket).await?;
        let image = deployment.image.as_deref().ok_or(End::Gone)?;
        self.images
            .ensure(image, deployment.owner, project, workspace, ticket.log())
            .await
            .map_err(|fault| End::Failed(explain(&fault)))?;
        let version = self.advance(deployment, DeploymentStatus::Checking, ticket).await?;
        if let Err(failure) = self.instances.check(version).await {
            let printed = failure.log.lines().chain(failure.trace.iter().flat_map(|trace| trace.lines()));
            printed.for_each(|line| ticket.log().push(line));
            let error = failure.to_string();
            ticket.log().push(&error);
            return Err(End::Failed(error));
        }
        let log = ticket.log().text();
        match self.persist(|| self.functions.activate(deployment, log.clone())).await {
            Ok(Activation::Active | Activation::Overtaken) => Ok(()),
            Ok(Activation::Gone) => Err(End::Gone),
            Err(fault) => Err(End::Failed(explain(&fault.into()))),
        }
    }

    /// Writes that a step begins; returns the version that the deployment would make now.
    async fn advance(
        &self,
        deployment: &Deployment,
        status: DeploymentStatus,
        ticket: &Ticket,
    ) -> Result<Arc<Version>, End> {
        let next = Deployment { status, ..deployment.clone() };
        let written = self
            .persist(|| {
                let next = next.clone();
                self.db.transaction("deployment.advance", move |connection| advance(connection, &next))
            })
            .await;
        match written {
            Ok(Some(version)) => {
                ticket.advance(status);
                Ok(Arc::new(version))
            }
            Ok(None) => Err(End::Gone),
            Err(fault) => Err(End::Failed(explain(&fault.into()))),
        }
    }

    /// Writes that a deployment failed. The version that is active stays so.
    pub(super) async fn fail(&self, deployment: &Deployment, error: String, log: String) {
        tracing::info!(deployment.error = error, "a deployment failed");
        let failed = Deployment {
            status: DeploymentStatus::Failed,
            error: Some(error),
            image: None,
            finished_at: Some(self.clock.now()),
            ..deployment.clone()
        };
        let written = self
            .persist(|| {
                let (failed, log) = (failed.clone(), log.clone());
                self.db.transaction("deployment.fail", move |connection| {
                    write_failure(connection, &failed, &log)
                })
            })
            .await;
        if let Err(fault) = written {
            tracing::error!(error = %fault, "the failure of a deployment was not written");
        }
        self.images.remove_unnamed(deployment.image.iter().cloned().collect()).await;
    }

    /// Carries out a change of the database, however long it takes to be there.
    pub(super) async fn persist<T, F>(&self, change: impl Fn() -> F) -> Result<T, DbError>
    where
        F: Future<Output = Result<T, DbError>>,
    {
        loop {
            match change().await {
                Err(fault) if fault.is_transient() => tokio::time::sleep(RETRY).await,
                outcome => return outcome,
            }
        }
    }
}

/// Says in words for the owner why a deployment failed. What is no fault of theirs goes to our log.
fn explain(fault: &FunctionError) -> String {
    match fault {
        FunctionError::InstallFailed(_)
        | FunctionError::CompileFailed(_)
        | FunctionError::Runtime(RuntimeError::DiskShort { .. } | RuntimeError::TimedOut { .. }) => {
            fault.to_string()
        }
        other => {
            tracing::error!(error = %other, "a deployment failed by a fault of the platform");
            "the platform failed to carry this out: deploy it again".to_owned()
        }
    }
}

fn advance(connection: &mut PgConnection, next: &Deployment) -> Result<Option<Version>, DbError> {
    let Some(mut function) = store::functions::find(connection, next.owner, next.function_id)? else {
        return Ok(None);
    };
    if !store::deployments::update(connection, next)? {
        return Ok(None);
    }
    function.config = config::apply(&function.config, &next.config);
    version_of(connection, &function, next)
}

fn write_failure(connection: &mut PgConnection, failed: &Deployment, log: &str) -> Result<(), DbError> {
    let Some(mut function) = store::functions::lock(connection, failed.owner, failed.function_id)? else {
        return Ok(());
    };
    store::deployments::update(connection, failed)?;
    store::deployments::update_log(connection, failed.owner, failed.id, log)?;
    let is_hopeless = function.active_version.is_none()
        && !store::deployments::has_unfinished(connection, failed.owner, failed.function_id, failed.id)?;
    if is_hopeless {
        function.status = FunctionStatus::Failed;
        store::functions::update(connection, &function)?;
    }
    Ok(())
}
