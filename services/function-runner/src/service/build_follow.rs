use std::sync::Arc;
use std::time::Duration;

use slipway_kernel::{DeploymentId, UserId};
use slipway_models::functions::DeploymentStatus;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Deployments;
use crate::build::{BuildLine, BuildLineId, InQueue, LogReader, LogTail};
use crate::domain::Deployment;
use crate::error::FunctionError;
use crate::records::FollowerPlace;

/// After that a reader has to connect again, and to show again who it is.
const FOLLOWED_FOR: Duration = Duration::from_hours(1);

/// What is to be said to those who follow a deployment.
#[derive(Debug)]
pub(crate) enum BuildNews {
    /// How far it is.
    Status(DeploymentStatus),
    /// What it printed.
    Line(BuildLine),
    /// How it ended.
    End(Box<Deployment>),
}

/// Reads along while a deployment is built. A line is fetched when the reader took the one before, so a slow one costs
/// nothing; it is told how many lines it missed where there were too many to keep.
pub(crate) struct BuildFollower {
    deployments: Arc<Deployments>,
    owner: UserId,
    id: DeploymentId,
    reader: LogReader,
    status: watch::Receiver<DeploymentStatus>,
    /// Whether how far it was at first is said.
    is_told: bool,
    /// Cancelled when the deployment is over: then nothing is printed any more.
    ended: CancellationToken,
    until: Instant,
    _place: FollowerPlace,
}

impl Deployments {
    /// Follows what the build of an owner's deployment prints, from after the line `after`, else from the beginning.
    pub(crate) async fn follow(
        self: Arc<Self>,
        owner: UserId,
        id: DeploymentId,
        after: Option<BuildLineId>,
    ) -> Result<BuildFollower, FunctionError> {
        // Nobody but the owner learns that it is there.
        self.find(owner, id).await?;
        let place = self.records.admit_follower(owner)?;
        let InQueue { log, status, ended } = match self.queue.find(id) {
            Some(seen) => seen,
            None => self.over(owner, id).await?,
        };
        let is_told = status.borrow().is_final();
        Ok(BuildFollower {
            deployments: self,
            owner,
            id,
            reader: log.read(after),
            status,
            is_told,
            ended,
            until: Instant::now() + FOLLOWED_FOR,
            _place: place,
        })
    }

    /// What is to be seen of a deployment that is over, or was interrupted.
    async fn over(&self, owner: UserId, id: DeploymentId) -> Result<InQueue, FunctionError> {
        let deployment = self.find(owner, id).await?;
        let log = LogTail::restore(&self.log(owner, id).await?);
        let (_, status) = watch::channel(deployment.status);
        let ended = CancellationToken::new();
        ended.cancel();
        Ok(InQueue { log, status, ended })
    }
}

impl BuildFollower {
    /// Returns what comes next; `None` when there is nothing more, or when the reader has to connect again: then no end
    /// came before.
    pub(crate) async fn next(&mut self) -> Option<BuildNews> {
        loop {
            // Before the lines: what is printed comes before the end.
            let is_over = self.ended.is_cancelled();
            if !self.is_told {
                self.is_told = true;
                return Some(BuildNews::Status(*self.status.borrow_and_update()));
            }
            if let Some(line) = self.reader.next() {
                return Some(BuildNews::Line(line));
            }
            if is_over {
                return self.end().await;
            }
            if self.status.has_changed().unwrap_or_default() {
                return Some(BuildNews::Status(*self.status.borrow_and_update()));
            }
            tokio::select! {
                () = self.reader.changed() => {}
                _ = self.status.changed() => {}
                () = self.ended.cancelled() => {}
                () = tokio::time::sleep_until(self.until) => return None,
            }
        }
    }

    async fn end(&self) -> Option<BuildNews> {
        match self.deployments.find(self.owner, self.id).await {
            Ok(deployment) if deployment.status.is_final() => Some(BuildNews::End(Box::new(deployment))),
            // A stop of this service interrupted it, or its function was deleted.
            Ok(_) | Err(FunctionError::DeploymentNotFound) => None,
            Err(error) => {
                tracing::warn!(%error, "a follower of a build is sent away");
                None
            }
        }
    }
}
