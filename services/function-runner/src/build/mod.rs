//! Makes images of projects: the files of a deployment, the queue, and what Podman is given.

mod containerfile;
mod images;
mod log;
mod queue;
mod source;
mod workspace;

pub(crate) use images::{BuildSettings, Images};
pub(crate) use log::{LogTail, tail};
pub(crate) use queue::{BuildQueue, Ticket};
pub(crate) use workspace::{Workspace, Workspaces};
