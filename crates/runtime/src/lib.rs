#![doc = include_str!("../README.md")]

mod error;
mod image;
mod instance;
mod network;
mod podman;
mod process;
mod runtime;
mod service;

pub use error::RuntimeError;
pub use image::{BuildLimits, BuildSpec, ImageId, ImageSummary, OnLine};
pub use instance::{
    ContainerId, ContainerState, ContainerStatus, InstanceLimits, InstanceSpec, Labels, OwnedContainer,
    Removal,
};
pub use network::{Destination, EgressConfig, NetworkSpec, NoDestination, OwnedNetwork};
pub use podman::{PodmanConfig, PodmanRuntime};
pub use runtime::{ContainerRuntime, RuntimeReport};
pub use service::{PodmanService, PodmanServiceConfig, ServiceError};
