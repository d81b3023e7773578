use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use slipway_audit::Action;
use slipway_db::{Database, PgConnection};
use slipway_kernel::{DeploymentId, FunctionId, Origin, Page, PageRequest, SharedClock, UserId};
use slipway_models::functions::{
    DeploymentStatus, FunctionConfig, FunctionConfigPatch, FunctionStatus, Runtime,
};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use tracing::Span;

use super::builds::Builds;
use super::trail;
use crate::archive::{self, Limits};
use crate::build::{BuildQueue, Workspace, Workspaces, tail};
use crate::domain::{Deployment, Function, FunctionName, config};
use crate::error::FunctionError;
use crate::project::Project;
use crate::records::Records;
use crate::store;

/// How many archives are unpacked at a time: each takes a thread, a processor and a disk.
const UNPACKED_AT_A_TIME: usize = 4;
/// How much of a failed build's log its answer carries.
const SHOWN_LOG_BYTES: usize = 4 * 1024;

/// What one deployment may ask for.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentLimits {
    /// Of the archive.
    pub(crate) archive: Limits,
    /// The most deployments of an owner on their way at a time.
    pub(crate) per_owner: usize,
    /// The most of all owners.
    pub(crate) in_all: usize,
}

/// What is to be deployed.
#[derive(Debug)]
pub(crate) struct DeployRequest {
    pub(crate) owner: UserId,
    pub(crate) target: Target,
    pub(crate) config: FunctionConfigPatch,
    pub(crate) archive: NamedTempFile,
}

/// Which function a deployment is of.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// The one of that name, which is made where there is none.
    Name(FunctionName),
    /// One that is there.
    Id(FunctionId),
}

/// Deployments: from an archive to a row and a place in the queue.
pub(crate) struct Deployments {
    db: Database,
    clock: SharedClock,
    builds: Arc<Builds>,
    pub(super) records: Arc<Records>,
    pub(super) queue: BuildQueue,
    workspaces: Workspaces,
    limits: DeploymentLimits,
    unpacking: Semaphore,
}

/// An archive that was unpacked and understood.
struct Unpacked {
    workspace: Workspace,
    project: Project,
}

impl Deployments {
    pub(crate) fn new(
        db: Database,
        clock: SharedClock,
        builds: Arc<Builds>,
        records: Arc<Records>,
        queue: BuildQueue,
        workspaces: Workspaces,
        limits: DeploymentLimits,
    ) -> Self {
        let unpacking = Semaphore::new(UNPACKED_AT_A_TIME);
        Self { db, clock, builds, records, queue, workspaces, limits, unpacking }
    }

    /// Returns the directory for archives that are being received.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.workspaces.uploads().to_owned()
    }

    /// Unpacks and checks an archive, makes its version, and has it built. The version that is active stays so until
    /// the new one is built and was seen to be ready.
    pub(crate) async fn deploy(
        &self,
        request: DeployRequest,
        origin: Origin,
    ) -> Result<(Function, Deployment), FunctionError> {
        let DeployRequest { owner, target, config, archive } = request;
        config::check(&config, "/config").map_err(FunctionError::Invalid)?;
        self.builds.require_recovered()?;
        if self.queue.len() >= self.limits.in_all {
            return Err(FunctionError::TooManyBuilds(self.limits.in_all));
        }
        let id = DeploymentId::generate();
        let Unpacked { workspace, project } = self.unpack(id, archive).await?;
        let image = self.builds.images.name(owner, &project, workspace.source()).await?;
        let draft = Draft {
            id,
            owner,
            target,
            config: config::merge(project.config.clone(), config),
            runtime: project.runtime,
            entry: project.entry.clone(),
            image,
            most: self.limits.per_owner,
            now: self.clock.now(),
        };
        let now = draft.now;
        let (function, deployment) = self
            .db
            .transaction("deployment.insert", move |connection| {
                let (function, deployment) = place(connection, draft)?;
                let event = trail::of_function(Action::FUNCTION_DEPLOY, &function, &origin, now)
                    .with("deployment_id", deployment.id.to_string())
                    .with("version", deployment.version);
                slipway_audit::record(connection, event)?;
                Ok::<_, FunctionError>((function, deployment))
            })
            .await?;
        self.builds.start(deployment.clone(), project, workspace);
        Ok((function, deployment))
    }

    /// Waits until a deployment is over; a failed one is an error with the end of its log.
    pub(crate) async fn wait(&self, owner: UserId, id: DeploymentId) -> Result<Deployment, FunctionError> {
        self.queue.ended(id).await;
        let deployment = self.find(owner, id).await?;
        match deployment.status {
            DeploymentStatus::Active | DeploymentStatus::Superseded => Ok(deployment),
            DeploymentStatus::Failed => {
                let log = self.log(owner, id).await?;
                let error = deployment.error.unwrap_or_default();
                Err(FunctionError::BuildFailed { error, log: tail(&log, SHOWN_LOG_BYTES).to_owned() })
            }
            DeploymentStatus::Queued | DeploymentStatus::Building | DeploymentStatus::Checking => {
                Err(FunctionError::Interrupted)
            }
        }
    }

    /// Finds an owner's deployment.
    pub(crate) async fn find(&self, owner: UserId, id: DeploymentId) -> Result<Deployment, FunctionError> {
        self.db
            .run("deployment.find", move |connection| {
                store::deployments::find(connection, owner, id)?.ok_or(FunctionError::DeploymentNotFound)
            })
            .await
    }

    /// Lists the deployments of an owner's function, newest first.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        function: FunctionId,
        page: PageRequest,
    ) -> Result<Page<Deployment>, FunctionError> {
        let rows = self
            .db
            .run("deployment.list", move |connection| {
                store::functions::find(connection, owner, function)?.ok_or(FunctionError::NotFound)?;
                Ok::<_, FunctionError>(store::deployments::list(connection, owner, function, &page)?)
            })
            .await?;
        Ok(Page::from_rows(rows, &page, |deployment| deployment.id.as_uuid()))
    }

    /// Returns what the build of an owner's deployment printed, so far where it is on its way.
    pub(crate) async fn log(&self, owner: UserId, id: DeploymentId) -> Result<String, FunctionError> {
        let stored = self
            .db
            .run("deployment.find_log", move |connection| {
                store::deployments::find_log(connection, owner, id)?.ok_or(FunctionError::DeploymentNotFound)
            })
            .await?;
        Ok(self.queue.log(id).unwrap_or(stored))
    }

    /// Unpacks on a thread of its own; the workspace goes with an archive that is refused.
    async fn unpack(&self, id: DeploymentId, mut archive: NamedTempFile) -> Result<Unpacked, FunctionError> {
        let _permit = self.unpacking.acquire().await;
        let (workspaces, limits) = (self.workspaces.clone(), self.limits.archive.clone());
        let work = move || {
            let workspace = workspaces.create(id)?;
            let source = workspace.source();
            archive::unpack(archive.as_file_mut(), &source, &limits)?;
            let project = Project::detect(&source)?;
            Ok(Unpacked { workspace, project })
        };
        slipway_telemetry::spawn_blocking(Span::current(), work).await?
    }
}

/// A deployment that is to be placed in its function.
struct Draft {
    id: DeploymentId,
    owner: UserId,
    target: Target,
    config: FunctionConfigPatch,
    runtime: Runtime,
    entry: Option<String>,
    image: String,
    most: usize,
    now: DateTime<Utc>,
}

/// Gives a deployment the next version of its function, which is made where there is none of that name.
fn place(connection: &mut PgConnection, draft: Draft) -> Result<(Function, Deployment), FunctionError> {
    let unfinished = store::deployments::count_unfinished(connection, draft.owner)?;
    if usize::try_from(unfinished).unwrap_or(usize::MAX) >= draft.most {
        return Err(FunctionError::TooManyBuilds(draft.most));
    }
    let mut function = match &draft.target {
        Target::Id(id) => {
            store::functions::lock(connection, draft.owner, *id)?.ok_or(FunctionError::NotFound)?
        }
        Target::Name(name) => store::functions::insert_or_lock(connection, &draft.function(name))?,
    };
    config::check_together(&config::apply(&function.config, &draft.config), draft.runtime, "/config")
        .map_err(FunctionError::Invalid)?;
    function.last_version += 1;
    function.updated_at = draft.now;
    if function.active_version.is_none() {
        function.status = FunctionStatus::Building;
        function.runtime = draft.runtime;
        // Nothing runs by the old configuration, so the change need not wait.
        function.config = config::apply(&function.config, &draft.config);
    }
    store::functions::update(connection, &function)?;
    let deployment = draft.deployment(&function);
    store::deployments::insert(connection, &deployment)?;
    Ok((function, deployment))
}

impl Draft {
    fn function(&self, name: &FunctionName) -> Function {
        Function {
            id: FunctionId::generate(),
            owner: self.owner,
            name: name.to_string(),
            runtime: self.runtime,
            status: FunctionStatus::Building,
            active_version: None,
            last_version: 0,
            config: FunctionConfig::default(),
            created_at: self.now,
            updated_at: self.now,
        }
    }

    fn deployment(self, function: &Function) -> Deployment {
        Deployment {
            id: self.id,
            function_id: function.id,
            owner: self.owner,
            version: function.last_version,
            runtime: self.runtime,
            entry: self.entry,
            status: DeploymentStatus::Queued,
            error: None,
            image: Some(self.image),
            config: self.config,
            created_at: self.now,
            finished_at: None,
        }
    }
}
