//! Makes images of projects: the files of a deployment, the queue, and what Podman is given.

mod bundles;
mod containerfile;
mod images;
mod log;
mod queue;
mod source;
mod workspace;

pub(crate) use bundles::Bundles;
pub(crate) use bundles::create_directory;
pub(crate) use images::{BuildSettings, Images, base_image_id};
pub(crate) use log::{LogTail, tail};
pub(crate) use queue::{BuildQueue, Ticket};
pub(crate) use workspace::{Workspace, Workspaces};
