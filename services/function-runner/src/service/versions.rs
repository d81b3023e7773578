use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_kernel::{FunctionId, UserId};

use crate::domain::{Revision, Version};

/// How many versions are remembered; when there are more, all are forgotten and read again as they are called.
const CAPACITY: usize = 10_000;

/// The active versions of functions that were called or changed lately. PostgreSQL has them all; this keeps a warm
/// call from asking it. True because this process is the only one that changes them, and every change goes through
/// [`Versions::put`] or [`Versions::forget`].
#[derive(Default)]
pub(crate) struct Versions(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_function: HashMap<FunctionId, Arc<Version>>,
    by_name: HashMap<(UserId, String), FunctionId>,
    changes: u64,
}

/// The state of what is known, from before a version was read.
pub(crate) struct Seen(u64);

impl Versions {
    /// Returns the version that an owner's function is known to have.
    pub(crate) fn get(&self, owner: UserId, id: FunctionId) -> Option<Arc<Version>> {
        self.known().by_function.get(&id).filter(|version| version.owner == owner).cloned()
    }

    /// Returns the version that an owner's function of a name is known to have.
    pub(crate) fn get_named(&self, owner: UserId, name: &str) -> Option<Arc<Version>> {
        let known = self.known();
        let id = known.by_name.get(&(owner, name.to_owned()))?;
        known.by_function.get(id).cloned()
    }

    /// Notes a change: of all that is known of the function, this is the newest.
    pub(crate) fn put(&self, mut version: Version) -> Arc<Version> {
        let mut known = self.known();
        known.changes += 1;
        version.revision = Revision(known.changes);
        let version = Arc::new(version);
        known.insert(Arc::clone(&version));
        version
    }

    /// Notes that a function is no more.
    pub(crate) fn forget(&self, id: FunctionId) {
        let mut known = self.known();
        known.changes += 1;
        if let Some(version) = known.by_function.remove(&id) {
            known.by_name.remove(&(version.owner, version.function_name.clone()));
        }
    }

    /// Returns what [`Versions::put_read`] wants to know; take it before reading.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.known().changes)
    }

    /// Notes a version that was read, unless anything changed meanwhile: what was read may be old then, and its
    /// revision says so.
    pub(crate) fn put_read(&self, mut version: Version, seen: &Seen) -> Arc<Version> {
        version.revision = Revision(seen.0);
        let version = Arc::new(version);
        let mut known = self.known();
        if known.changes == seen.0 {
            known.insert(Arc::clone(&version));
        }
        version
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, version: Arc<Version>) {
        if self.by_function.len() >= CAPACITY {
            self.by_function.clear();
            self.by_name.clear();
        }
        self.by_name.insert((version.owner, version.function_name.clone()), version.function_id);
        self.by_function.insert(version.function_id, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(owner: UserId, function_id: FunctionId, number: i32) -> Version {
        Version { owner, function_id, number, ..Version::sample() }
    }

    #[test]
    fn what_was_read_before_a_change_does_not_undo_it() {
        let (versions, owner, id) = (Versions::default(), UserId::generate(), FunctionId::generate());
        let seen = versions.seen();
        let newer = versions.put(version(owner, id, 2));
        let older = versions.put_read(version(owner, id, 1), &seen);
        assert!(older.revision.is_before(newer.revision));
        assert_eq!(versions.get(owner, id).unwrap().number, 2);

        let seen = versions.seen();
        versions.forget(id);
        versions.put_read(version(owner, id, 2), &seen);
        assert_eq!(versions.get(owner, id), None);
    }

    #[test]
    fn a_name_leads_to_its_owners_function_until_that_is_deleted() {
        let (versions, owner, id) = (Versions::default(), UserId::generate(), FunctionId::generate());
        versions.put(version(owner, id, 1));
        versions.put(version(UserId::generate(), FunctionId::generate(), 7));
        versions.put(version(owner, id, 2));
        assert_eq!(versions.get_named(owner, "hello").unwrap().number, 2);
        assert_eq!(versions.get_named(owner, "other"), None);
        versions.forget(id);
        assert_eq!(versions.get_named(owner, "hello"), None);
    }

    #[test]
    fn another_owner_sees_nothing() {
        let (versions, owner, id) = (Versions::default(), UserId::generate(), FunctionId::generate());
        versions.put(version(owner, id, 1));
        assert_eq!(versions.get(UserId::generate(), id), None);
        assert!(versions.get(owner, id).is_some());
    }
}
