use std::sync::Arc;

use slipway_audit::{Action, Event};
use slipway_db::{Database, DbError, PgConnection};
use slipway_kernel::{FunctionId, Origin, Page, PageRequest, SharedClock, UserId};
use slipway_models::functions::{DeploymentStatus, FunctionConfigPatch, FunctionStatus};
use tokio::sync::Mutex;

use super::trail;
use super::triggers::Handles;
use super::versions::Versions;
use crate::build::{BuildQueue, Images};
use crate::domain::{Deployment, Function, Revision, Version, config};
use crate::error::FunctionError;
use crate::instances::Instances;
use crate::records::Records;
use crate::store;

/// Functions and the versions that answer their calls.
pub(crate) struct Functions {
    pub(super) db: Database,
    clock: SharedClock,
    instances: Instances,
    images: Arc<Images>,
    queue: BuildQueue,
    records: Arc<Records>,
    pub(super) versions: Versions,
    pub(super) handles: Handles,
    /// Held from changing what answers calls to telling `versions` and `instances`, so that they hear of changes in
    /// the order in which these were made.
    changes: Mutex<()>,
}

/// What became of a version that was to answer calls.
pub(crate) enum Activation {
    /// It answers calls.
    Active,
    /// A newer one was active already.
    Overtaken,
    /// The function was deleted.
    Gone,
}

/// What [`Functions::activate`] wrote.
enum Written {
    Active(Box<Version>),
    Overtaken,
    Gone,
}

impl Functions {
    pub(crate) fn new(
        db: Database,
        clock: SharedClock,
        instances: Instances,
        images: Arc<Images>,
        queue: BuildQueue,
        records: Arc<Records>,
    ) -> Self {
        Self {
            db,
            clock,
            instances,
            images,
            queue,
            records,
            versions: Versions::default(),
            handles: Handles::default(),
            changes: Mutex::default(),
        }
    }

    /// Returns the version that answers calls of an owner's function: from memory where it was called before.
    pub(crate) async fn active_version(
        &self,
        owner: UserId,
        id: FunctionId,
    ) -> Result<Arc<Version>, FunctionError> {
        if let Some(version) = self.versions.get(owner, id) {
            return Ok(version);
        }
        let seen = self.versions.seen();
        let version = self
            .db
            .run("function.find_active", move |connection| {
                let function =
                    store::functions::find(connection, owner, id)?.ok_or(FunctionError::NotFound)?;
                let active = store::deployments::find_active(connection, owner, id)?;
                let deployment = active.ok_or(FunctionError::NotActive)?;
                version_of(connection, &function, &deployment)?.ok_or(FunctionError::NotActive)
            })
            .await?;
        Ok(self.versions.put_read(version, &seen))
    }

    /// Has the instances started that functions keep ready. For the start.
    pub(crate) async fn start_kept(&self) -> Result<(), DbError> {
        let _in_order = self.changes.lock().await;
        let versions = self
            .db
            .run("function.list_kept", |connection| {
                let kept = store::functions::list_kept(connection)?;
                let versions = kept.iter().map(|(function, active)| version_of(connection, function, active));
                versions.collect::<Result<Vec<_>, _>>()
            })
            .await?;
        for version in versions.into_iter().flatten() {
            self.publish(version);
        }
        Ok(())
    }

    /// Finds an owner's function.
    pub(crate) async fn find(&self, owner: UserId, id: FunctionId) -> Result<Function, FunctionError> {
        self.db
            .run("function.find", move |connection| {
                store::functions::find(connection, owner, id)?.ok_or(FunctionError::NotFound)
            })
            .await
    }

    /// Lists an owner's functions, newest first.
    pub(crate) async fn list(
        &self,
        owner: UserId,
        page: PageRequest,
    ) -> Result<Page<Function>, FunctionError> {
        let rows = self
            .db
            .run("function.list", move |connection| store::functions::list(connection, owner, &page))
            .await?;
        Ok(Page::from_rows(rows, &page, |function| function.id.as_uuid()))
    }

    /// Changes how an owner's function runs. Calls in flight end as they began; new ones run the new way.
    pub(crate) async fn configure(
        &self,
        owner: UserId,
        id: FunctionId,
        patch: FunctionConfigPatch,
        origin: Origin,
    ) -> Result<Function, FunctionError> {
        config::check(&patch, "").map_err(FunctionError::Invalid)?;
        if patch.egress == Some(true) {
            self.instances.require_egress("/egress").await?;
        }
        self.change("function.configure", owner, id, move |connection, function| {
            function.config = config::apply(&function.config, &patch);
            config::check_together(&function.config, function.runtime, "").map_err(FunctionError::Invalid)?;
            store::functions::update(connection, function)?;
            // Their names alone: a setting's value may be a secret.
            let event =
                trail::of_function(Action::FUNCTION_CONFIGURE, function, &origin, function.updated_at);
            slipway_audit::record(connection, event.with("fields", config::changed_fields(&patch)))?;
            Ok(function.clone())
        })
        .await
    }

    /// Changes an owner's function, or what belongs to it, in one transaction in which it is locked; from then on new
    /// calls run the new way.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        owner: UserId,
        id: FunctionId,
        change: impl FnOnce(&mut PgConnection, &mut Function) -> Result<T, FunctionError> + Send + 'static,
    ) -> Result<T, FunctionError> {
        let now = self.clock.now();
        let _in_order = self.changes.lock().await;
        let (changed, version) = self
            .db
            .transaction(operation, move |connection| {
                let mut function =
                    store::functions::lock(connection, owner, id)?.ok_or(FunctionError::NotFound)?;
                function.updated_at = now;
                let changed = change(connection, &mut function)?;
                let active = store::deployments::find_active(connection, owner, id)?;
                let version = match active {
                    Some(deployment) => version_of(connection, &function, &deployment)?,
                    None => None,
                };
                Ok::<_, FunctionError>((changed, version))
            })
            .await?;
        if let Some(version) = version {
            self.publish(version);
        }
        Ok(changed)
    }

    /// Deletes an owner's function and all that belongs to it: rows, builds on their way, containers, images. What a
    /// crash leaves of the latter, the next start removes.
    pub(crate) async fn delete(
        &self,
        owner: UserId,
        id: FunctionId,
        origin: Origin,
    ) -> Result<(), FunctionError> {
        let function = self.find(owner, id).await?;
        let event = trail::of_function(Action::FUNCTION_DELETE, &function, &origin, self.clock.now());
        self.delete_with(owner, id, event).await
    }

    /// Deletes a function, as its owner would, whose owner's account was deleted.
    pub(super) async fn delete_of_deleted(&self, owner: UserId, id: FunctionId) -> Result<(), FunctionError> {
        let function = self.find(owner, id).await?;
        self.delete_with(owner, id, trail::owner_deleted(&function, self.clock.now())).await
    }

    async fn delete_with(&self, owner: UserId, id: FunctionId, event: Event) -> Result<(), FunctionError> {
        self.delete_records(owner, id).await?;
        let in_order = self.changes.lock().await;
        let images = self
            .db
            .transaction("function.delete", move |connection| {
                let images = store::deployments::list_images(connection, owner, id)?;
                if !store::functions::delete(connection, owner, id)? {
                    return Err(FunctionError::NotFound);
                }
                slipway_audit::record(connection, event)?;
                Ok(images)
            })
            .await?;
        self.versions.forget(id);
        drop(in_order);
        self.records.end_followers(id);
        self.queue.stop_function(id).await;
        self.instances.remove_function(id).await;
        self.images.remove_unnamed(images).await;
        Ok(())
    }

    /// Deletes runs and log lines in steps: of a busy function there are more than one statement has time for.
    async fn delete_records(&self, owner: UserId, id: FunctionId) -> Result<(), FunctionError> {
        const STEP: i64 = 5_000;
        loop {
            let deleted = self
                .db
                .run("function.delete_records", move |connection| {
                    let lines = store::log_lines::delete_of_function(connection, owner, id, STEP)?;
                    let runs = store::executions::delete_of_function(connection, owner, id, STEP)?;
                    Ok::<_, FunctionError>(lines + runs)
                })
                .await?;
            if deleted == 0 {
                return Ok(());
            }
        }
    }

    /// Makes a deployment that was built and checked the one that answers calls, unless a newer one does; `log` is
    /// all that it printed.
    pub(crate) async fn activate(&self, deployment: &Deployment, log: String) -> Result<Activation, DbError> {
        let now = self.clock.now();
        let deployment = deployment.clone();
        let _in_order = self.changes.lock().await;
        let written = self
            .db
            .transaction("deployment.activate", move |connection| {
                let Some(mut function) =
                    store::functions::lock(connection, deployment.owner, deployment.function_id)?
                else {
                    return Ok::<_, DbError>(Written::Gone);
                };
                store::deployments::update_log(connection, deployment.owner, deployment.id, &log)?;
                let mut deployment = Deployment { finished_at: Some(now), ..deployment };
                if function.active_version.is_some_and(|active| active > deployment.version) {
                    deployment.status = DeploymentStatus::Superseded;
                    store::deployments::update(connection, &deployment)?;
                    return Ok(Written::Overtaken);
                }
                deployment.status = DeploymentStatus::Active;
                function.updated_at = now;
                write_active(connection, &mut function, &deployment)?;
                slipway_audit::record(connection, trail::activated(&deployment, now))?;
                let version = version_of(connection, &function, &deployment)?;
                Ok(version.map_or(Written::Gone, |version| Written::Active(Box::new(version))))
            })
            .await?;
        Ok(match written {
            Written::Active(version) => {
                self.publish(*version);
                Activation::Active
            }
            Written::Overtaken => Activation::Overtaken,
            Written::Gone => Activation::Gone,
        })
    }

    /// Makes a version that answered calls before, or that a newer one overtook, the one that answers them: as
    /// deploying its archive again would, without a build. What its deployment says of the configuration holds again;
    /// the rest of the configuration stays as it is. Calls in flight end on the version that they began on.
    pub(crate) async fn roll_back(
        &self,
        owner: UserId,
        id: FunctionId,
        number: i32,
        origin: Origin,
    ) -> Result<Function, FunctionError> {
        let asked = self
            .db
            .run("deployment.find_version", move |connection| find_version(connection, owner, id, number))
            .await?;
        let image = asked.image.ok_or(FunctionError::VersionRemoved(number))?;
        if !self.images.exists(&image).await? {
            return Err(FunctionError::VersionRemoved(number));
        }
        let now = self.clock.now();
        let _in_order = self.changes.lock().await;
        let (function, version) = self
            .db
            .transaction("function.roll_back", move |connection| {
                let mut function =
                    store::functions::lock(connection, owner, id)?.ok_or(FunctionError::NotFound)?;
                let mut deployment = find_version(connection, owner, id, number)?;
                if deployment.status == DeploymentStatus::Superseded {
                    deployment.status = DeploymentStatus::Active;
                    function.updated_at = now;
                    write_active(connection, &mut function, &deployment)?;
                    let event = trail::of_function(Action::FUNCTION_ROLLBACK, &function, &origin, now);
                    slipway_audit::record(connection, event.with("version", number))?;
                }
                let version = version_of(connection, &function, &deployment)?
                    .ok_or(FunctionError::VersionRemoved(number))?;
                Ok::<_, FunctionError>((function, version))
            })
            .await?;
        self.publish(version);
        Ok(function)
    }

    fn publish(&self, version: Version) {
        self.instances.activate(self.versions.put(version));
    }
}

/// Finds a version that can answer calls: one that was built and checked.
fn find_version(
    connection: &mut PgConnection,
    owner: UserId,
    id: FunctionId,
    number: i32,
) -> Result<Deployment, FunctionError> {
    store::functions::find(connection, owner, id)?.ok_or(FunctionError::NotFound)?;
    let deployment = store::deployments::find_version(connection, owner, id, number)?
        .ok_or(FunctionError::VersionNotFound(number))?;
    match deployment.status {
        DeploymentStatus::Active | DeploymentStatus::Superseded => Ok(deployment),
        DeploymentStatus::Failed => Err(FunctionError::VersionFailed(number)),
        DeploymentStatus::Queued | DeploymentStatus::Building | DeploymentStatus::Checking => {
            Err(FunctionError::VersionNotReady(number))
        }
    }
}

fn write_active(
    connection: &mut PgConnection,
    function: &mut Function,
    deployment: &Deployment,
) -> Result<(), DbError> {
    function.runtime = deployment.runtime;
    function.status = FunctionStatus::Active;
    function.active_version = Some(deployment.version);
    function.config = config::apply(&function.config, &deployment.config);
    store::deployments::supersede_active(connection, deployment.owner, deployment.function_id)?;
    store::deployments::update(connection, deployment)?;
    store::functions::update(connection, function)
}

/// Returns the version that a deployment makes of a function as it is now; none where it has no image.
pub(super) fn version_of(
    connection: &mut PgConnection,
    function: &Function,
    deployment: &Deployment,
) -> Result<Option<Version>, DbError> {
    let Some(image) = deployment.image.clone() else { return Ok(None) };
    Ok(Some(Version {
        owner: function.owner,
        function_id: function.id,
        function_name: function.name.clone(),
        deployment_id: deployment.id,
        number: deployment.version,
        runtime: deployment.runtime,
        image,
        entry: deployment.entry.clone(),
        config: function.config.clone(),
        revision: Revision::default(),
        secrets: store::secrets::list_all(connection, function.owner, function.id)?.into(),
    }))
}
