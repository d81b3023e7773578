use std::sync::Arc;

use slipway_kernel::{DeploymentId, FunctionId, UserId};
use slipway_models::functions::{FunctionConfig, Runtime};

use super::Secret;
use super::config::takes_several_calls;

/// All that an instance needs to know of the version it serves.
///
/// It does not change: a function whose configuration changes gets another `Version` of the same number, so instances
/// of the old one are told apart by `==`.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Whose function it is.
    pub owner: UserId,
    /// The function.
    pub function_id: FunctionId,
    /// The function's name, as the handler's context states it.
    pub function_name: String,
    /// The deployment that made this version.
    pub deployment_id: DeploymentId,
    /// Counts from 1 in each function.
    pub number: i32,
    /// What runs it.
    pub runtime: Runtime,
    /// The image's name in the host's own storage.
    pub image: String,
    /// The file that holds the handler, where `slipway.toml` names one; else the runtime's own default.
    pub entry: Option<String>,
    /// How it runs.
    pub config: FunctionConfig,
    /// What its instances are told besides, sealed.
    pub secrets: Arc<[Secret]>,
    /// How recent the knowledge of it is.
    pub revision: Revision,
}

impl Version {
    /// Returns how many calls an instance carries out at a time. What a function says for another runtime, to which it
    /// was rolled back, does not hold.
    pub fn concurrency(&self) -> u32 {
        if takes_several_calls(self.runtime) { self.config.concurrency.max(1) } else { 1 }
    }
}

#[cfg(test)]
impl Version {
    /// Returns the first version of somebody's python function `hello`, another one at each call.
    pub fn sample() -> Self {
        Self {
            owner: UserId::generate(),
            function_id: FunctionId::generate(),
            function_name: "hello".to_owned(),
            deployment_id: DeploymentId::generate(),
            number: 1,
            runtime: Runtime::Python,
            image: "image".to_owned(),
            entry: None,
            config: FunctionConfig::default(),
            secrets: Arc::default(),
            revision: Revision::default(),
        }
    }
}

/// Orders what is known of a function's version: a call that read it before a rollback must not bring it back.
///
/// It says nothing of what the version is, so every revision equals every other: a version that comes back is still
/// the one that its instances serve.
#[derive(Debug, Clone, Copy, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Tells whether this is what was known before `other`.
    pub fn is_before(self, other: Self) -> bool {
        self.0 < other.0
    }
}

impl PartialEq for Revision {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
