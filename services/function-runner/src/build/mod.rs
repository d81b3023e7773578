//! Makes images of projects: the files of a deployment, the queue, and what Podman is given.

mod bundles;
mod dependency_cache;
mod images;
mod install;
mod log;
mod packing;
mod parent_proxy;
mod proxy;
mod queue;
mod recipe;
mod registries;
mod source;
mod turns;
mod workspace;

pub(crate) use bundles::{Bundles, WARM_RUNTIMES, create_directory};
pub(crate) use dependency_cache::CacheLimits;
pub(crate) use images::{BuildSettings, Images, base_image_id};
pub(crate) use install::{InstallSettings, prepare_directory};
pub(crate) use log::{BuildLine, BuildLineId, LogReader, LogTail, tail};
pub(crate) use parent_proxy::ParentProxies;
pub(crate) use queue::{BuildQueue, InQueue, Ticket};
pub(crate) use registries::Registries;
pub(crate) use workspace::{Workspace, Workspaces};
