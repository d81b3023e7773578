//! Pure types and rules of functions, their versions and their runs.

mod version;

pub use version::Version;
