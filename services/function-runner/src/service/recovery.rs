use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::Span;

use super::{Builds, CollectionSettings};
use crate::build::{Workspace, Workspaces};
use crate::domain::Deployment;
use crate::error::FunctionError;
use crate::project::Project;
use crate::store;

const RETRY: Duration = Duration::from_secs(2);
const SWEEP_CONTAINERS_EVERY: Duration = Duration::from_mins(1);
const RESTARTED: &str = "runner_restarted: the runner was restarted while this was on its way, and its files are no \
                         longer there as they were: deploy it again";

impl Builds {
    /// Takes up what was on its way when this process last ended, removes what is left over, has the instances started
    /// that functions keep ready, and from then on collects the images of old versions. Runs until the service stops.
    pub(crate) async fn recover_and_sweep(
        self: Arc<Self>,
        workspaces: Workspaces,
        collection: CollectionSettings,
    ) {
        let work = async {
            while let Err(fault) = self.recover(&workspaces).await {
                tracing::warn!(error = %fault, "cannot take up what was on its way before the restart: trying again");
                tokio::time::sleep(RETRY).await;
            }
            self.is_recovered.store(true, Ordering::Release);
            while let Err(fault) = self.functions.start_kept().await {
                tracing::warn!(error = %fault, "cannot find the functions that keep instances ready: trying again");
                tokio::time::sleep(RETRY).await;
            }
            let mut images = tokio::time::interval(collection.every);
            images.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut containers = tokio::time::interval(SWEEP_CONTAINERS_EVERY);
            loop {
                let swept = tokio::select! {
                    _ = images.tick() => self.collect(collection.versions).await,
                    _ = containers.tick() => self.images.remove_unknown_installations().await,
                };
                if let Err(fault) = swept {
                    tracing::warn!(error = %fault, "what builds left was not swept");
                }
            }
        };
        self.stopping.run_until_cancelled(work).await;
    }

    /// Refuses new deployments until [`Builds::recover_and_sweep`] knows those from before.
    pub(crate) fn require_recovered(&self) -> Result<(), FunctionError> {
        if self.is_recovered.load(Ordering::Acquire) { Ok(()) } else { Err(FunctionError::Starting) }
    }

    /// Nothing is queued before all that can fail has succeeded, so trying again queues nothing twice.
    async fn recover(self: &Arc<Self>, workspaces: &Workspaces) -> Result<(), FunctionError> {
        self.images.remove_abandoned_builds().await?;
        let unfinished =
            self.db.run("deployment.list_unfinished", store::deployments::list_unfinished).await?;
        let mut resumed = Vec::new();
        let mut lost = Vec::new();
        for deployment in unfinished {
            match self.find_unchanged(workspaces, &deployment).await? {
                Some((project, workspace)) => resumed.push((deployment, project, workspace)),
                None => lost.push(deployment),
            }
        }
        let kept: HashSet<String> =
            resumed.iter().map(|(deployment, ..)| deployment.id.to_string()).collect();
        remove_others(workspaces.clone(), kept).await?;
        for deployment in lost {
            self.fail(&deployment, RESTARTED.to_owned(), String::new()).await;
        }
        for (deployment, project, workspace) in resumed {
            tracing::info!(deployment.id = %deployment.id, "taking up a deployment from before the restart");
            self.start(deployment, project, workspace.release());
        }
        Ok(())
    }

    /// Returns the files of a deployment if they are still what its image is named by: a power cut may have taken
    /// some.
    async fn find_unchanged(
        &self,
        workspaces: &Workspaces,
        deployment: &Deployment,
    ) -> Result<Option<(Project, Workspace)>, FunctionError> {
        let Some(workspace) = workspaces.find(deployment.id) else { return Ok(None) };
        let source = workspace.source();
        let detected =
            slipway_telemetry::spawn_blocking(Span::current(), move || Project::detect(&source)).await?;
        let Ok(project) = detected else { return Ok(None) };
        let name = self.images.name(deployment.owner, &project, workspace.source()).await?;
        Ok((deployment.image.as_ref() == Some(&name)).then_some((project, workspace)))
    }
}

async fn remove_others(workspaces: Workspaces, kept: HashSet<String>) -> Result<(), FunctionError> {
    let work = move || {
        for name in workspaces.names()?.difference(&kept) {
            workspaces.remove(name)?;
        }
        Ok(())
    };
    slipway_telemetry::spawn_blocking(Span::current(), work).await?
}
