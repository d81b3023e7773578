use std::borrow::Cow;
use std::hash::Hash;
use std::sync::Arc;

use slipway_jwt::SecretKey;

const PURPOSE: &str = "limit-counter";
/// How much of a digest names a counter: two that meet by chance are not to be feared.
const NAME_BYTES: usize = 16;

/// What tells a counter from others: in this process by its hash, and in Redis by its name.
pub trait Counter: Hash {
    /// Writes the name that it has in Redis.
    fn name(&self) -> Cow<'_, str>;
}

/// A counter whose name may be read.
impl Counter for String {
    fn name(&self) -> Cow<'_, str> {
        self.into()
    }
}

/// Names counters in Redis by keyed digests: what it holds tells nobody who asked.
#[derive(Clone)]
pub struct CounterNames(Arc<SecretKey>);

/// A counter that is named by a digest, which is made for Redis alone.
pub struct HiddenCounter<'a> {
    names: &'a CounterNames,
    group: &'a str,
    by: &'a str,
    value: &'a [u8],
}

impl CounterNames {
    /// Makes names with a key that replicas share.
    pub fn new(key: Arc<SecretKey>) -> Self {
        Self(key)
    }

    /// Returns the counter of a group for one value of what it counts by. Counters that are asked for at once have a
    /// group in braces, as in `{login}`: they lie in one slot of a Redis cluster then, as one script counts them.
    pub fn counter<'a>(&'a self, group: &'a str, by: &'a str, value: &'a [u8]) -> HiddenCounter<'a> {
        HiddenCounter { names: self, group, by, value }
    }
}

impl Hash for HiddenCounter<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.group, self.by, self.value).hash(state);
    }
}

impl Counter for HiddenCounter<'_> {
    fn name(&self) -> Cow<'_, str> {
        let (group, by) = (self.group.as_bytes(), self.by.as_bytes());
        let digest = self.names.0.digest(PURPOSE, &[group, b" ", by, b" ", self.value].concat());
        format!("slipway:limit:{}:{}", self.group, hex::encode(&digest[..NAME_BYTES])).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_its_group_and_tells_counters_apart_and_nobody_who_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let names = |key: &str| {
            CounterNames::new(Arc::new(SecretKey::load_or_create(directory.path(), key).unwrap()))
        };
        let (ours, others) = (names("auth"), names("gateway"));
        let name = |names: &CounterNames, group, by, value: &str| {
            names.counter(group, by, value.as_bytes()).name().into_owned()
        };
        let ada = name(&ours, "{login}", "account", "ada@example.org");
        assert!(ada.starts_with("slipway:limit:{login}:") && !ada.contains("ada@"), "{ada}");
        assert_eq!(ada, name(&ours, "{login}", "account", "ada@example.org"));
        for other in [
            name(&ours, "{login}", "account", "eve@example.org"),
            name(&ours, "{login}", "address", "ada@example.org"),
            name(&ours, "{reset}", "account", "ada@example.org"),
            name(&others, "{login}", "account", "ada@example.org"),
        ] {
            assert_ne!(ada, other);
        }
    }
}
