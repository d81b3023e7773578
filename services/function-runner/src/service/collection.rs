use std::time::Duration;

use chrono::TimeDelta;

use super::Builds;
use crate::error::FunctionError;
use crate::store;

/// Which superseded versions keep their images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VersionLimits {
    /// The newest so many of each function.
    pub(crate) kept: u32,
    /// And those that were built within this time.
    pub(crate) young: Duration,
}

/// What the collection of images goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CollectionSettings {
    pub(crate) versions: VersionLimits,
    /// How often.
    pub(crate) every: Duration,
}

impl Builds {
    /// Forgets the images of versions that are neither among the newest of their function nor young, nor active. Then
    /// removes what no version names: those, and what a process that was killed left.
    ///
    /// A version is forgotten under its function's lock, so that no rollback leads to one that goes. An image that an
    /// instance still uses stays until that is gone.
    pub(super) async fn collect(&self, limits: VersionLimits) -> Result<(), FunctionError> {
        let now = self.clock.now();
        let most = i64::from(limits.kept);
        let before = now - TimeDelta::from_std(limits.young).unwrap_or(TimeDelta::MAX);
        let functions = self
            .db
            .run("deployment.list_functions_beyond", move |connection| {
                store::deployments::list_functions_beyond(connection, most)
            })
            .await?;
        for (owner, function) in functions {
            let forgotten = self
                .db
                .transaction("deployment.forget_images", move |connection| {
                    match store::functions::lock(connection, owner, function)? {
                        Some(_) => {
                            store::deployments::forget_images(connection, owner, function, most, before)
                        }
                        None => Ok(0),
                    }
                })
                .await?;
            if forgotten > 0 {
                tracing::info!(function.id = %function, versions = forgotten, "the images of old versions go");
            }
        }
        self.images.sweep(now.into()).await
    }
}
