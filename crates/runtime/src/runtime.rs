use async_trait::async_trait;

use crate::{
    BuildSpec, ContainerId, ContainerState, ImageId, ImageSummary, InstanceSpec, Labels, NetworkSpec, OnLine,
    OwnedContainer, OwnedNetwork, Removal, RuntimeError,
};

/// What a container runtime can do here; readiness shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeReport {
    /// Name and version, such as `podman 4.3.1`.
    pub version: String,
    /// Whether it runs without root.
    pub rootless: bool,
    /// `v1` or `v2`.
    pub cgroup_version: String,
    /// The limits of [`InstanceLimits`](crate::InstanceLimits) that this host can not hold: `memory`, `cpu` or
    /// `processes`. Empty is good.
    pub limits_missing: Vec<&'static str>,
}

/// What the function-runner asks of the thing that runs containers.
///
/// Every call has a deadline of its own, and may be given up (by dropping it) at any await.
#[async_trait]
pub trait ContainerRuntime: Send + Sync {
    /// Reports what answers and what it can enforce. Cheap enough for a readiness probe.
    async fn report(&self) -> Result<RuntimeReport, RuntimeError>;

    /// Creates the container of an instance without starting it. `NotFound` when its image is not there. A creation
    /// that is given up may still happen: its labels let a sweep find it.
    async fn create_instance(&self, spec: &InstanceSpec) -> Result<ContainerId, RuntimeError>;

    /// Starts a created container; starting it twice is fine.
    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Kills every process of a container at once and removes it, within a second. One that is gone is fine.
    /// See [`Removal`] for what happens when the runtime hangs. `Err` means that nothing is known.
    async fn kill_and_remove(&self, id: &ContainerId) -> Result<Removal, RuntimeError>;

    /// Lists the containers, running or not, that carry all of these labels.
    async fn list_owned(&self, labels: &Labels) -> Result<Vec<OwnedContainer>, RuntimeError>;

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerState, RuntimeError>;

    /// Says whether instances may have an egress network here: `Unsupported` with the reason where they may not.
    async fn require_egress(&self) -> Result<(), RuntimeError>;

    /// Makes an egress network unless it is there, and puts the rules of all of them in place before. `Unsupported`
    /// where this host cannot hold them.
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), RuntimeError>;

    /// Removes an egress network. Returns whether it was there; `Refused` while a container uses it.
    async fn remove_network(&self, name: &str) -> Result<bool, RuntimeError>;

    /// Lists the networks that carry all of these labels.
    async fn list_networks(&self, labels: &Labels) -> Result<Vec<OwnedNetwork>, RuntimeError>;

    /// Removes the rules of egress networks, once there is none. Rules that are not there are fine.
    async fn close_egress(&self) -> Result<(), RuntimeError>;

    /// The end of what the container's first process printed, both streams, for one that never became ready. At
    /// most 64 KiB are kept; bytes that are not UTF-8 are replaced.
    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, RuntimeError>;

    /// Builds an image and tags it. `log` is called with each line as it comes.
    ///
    /// Giving it up kills what the build runs and leaves nothing of it but cached steps.
    async fn build_image(&self, spec: &BuildSpec, log: &mut OnLine<'_>) -> Result<ImageId, RuntimeError>;

    /// Removes what builds left behind when their process, or the runtime, was killed. Builds that go on, this
    /// process's or another's, are not touched. Returns how many it removed.
    async fn remove_abandoned_builds(&self) -> Result<usize, RuntimeError>;

    /// Finds a tagged image. Its cost does not grow with the images that there are, as that of a list does.
    async fn find_image(&self, reference: &str) -> Result<Option<ImageSummary>, RuntimeError>;

    async fn image_exists(&self, reference: &str) -> Result<bool, RuntimeError>;

    /// Removes a tag, and the image with its last one. Returns whether it was there; `Refused` while a container
    /// uses it.
    async fn remove_image(&self, reference: &str) -> Result<bool, RuntimeError>;

    /// Lists the tagged images that carry all of these labels.
    async fn list_images(&self, labels: &Labels) -> Result<Vec<ImageSummary>, RuntimeError>;

    /// Removes the images without a tag (cached steps among them) that carry all of these labels and that nothing
    /// uses. Returns how many.
    async fn prune_dangling(&self, labels: &Labels) -> Result<usize, RuntimeError>;
}
