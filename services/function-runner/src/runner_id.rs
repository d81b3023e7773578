use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use slipway_kernel::RequestId;

/// Tells the containers and images of this runner from those of another that uses the same Podman storage: each state
/// directory has an id of its own, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerId(String);

impl RunnerId {
    /// The label that carries the id, on containers and images.
    pub const LABEL: &'static str = "dev.slipway.runner";

    /// Reads the id of a state directory, or makes it. Blocking.
    pub fn load_or_create(state: &Path) -> io::Result<Self> {
        let path = state.join("runner-id");
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(Self(text.trim().to_owned())),
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let id = RequestId::generate().as_uuid().simple().to_string();
        let draft = state.join("runner-id.draft");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        Ok(Self(id))
    }

    /// Returns the end of the id, of at most 12 digits: these are random, and short enough for names that have
    /// little room.
    pub(crate) fn last_digits(&self, count: usize) -> &str {
        self.0.get(self.0.len().saturating_sub(count)..).unwrap_or(&self.0)
    }
}

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_keeps_its_id_and_another_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = RunnerId::load_or_create(one.path()).unwrap();
        assert_eq!(RunnerId::load_or_create(one.path()).unwrap(), id);
        assert_ne!(RunnerId::load_or_create(other.path()).unwrap(), id);
    }
}
