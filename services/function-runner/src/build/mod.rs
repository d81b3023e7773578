//! Makes images of projects.

mod containerfile;
mod log;
mod source;
