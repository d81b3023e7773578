use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

const MAX_AGENT: usize = 256;

/// Where a sign-in came from, as far as that is known.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionDetails {
    pub(crate) address: Option<IpAddr>,
    pub(crate) agent: Option<String>,
}

impl SessionDetails {
    /// Takes what a request's headers say: an address or nothing, and of the agent's name no more than its beginning.
    pub(crate) fn new(address: Option<&str>, agent: Option<&str>) -> Self {
        let agent = agent.map(|agent| {
            let printed = agent.chars().filter(|character| !character.is_control());
            printed.take(MAX_AGENT).collect::<String>()
        });
        Self {
            address: address.and_then(|address| address.trim().parse().ok()),
            agent: agent.filter(|agent| !agent.is_empty()),
        }
    }
}

/// Shows nothing: it is personal.
impl fmt::Debug for SessionDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionDetails").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_sign_in_is_bounded() {
        let details = SessionDetails::new(Some("203.0.113.9"), Some(&"a".repeat(100_000)));
        assert_eq!(details.address, Some([203, 0, 113, 9].into()));
        assert_eq!(details.agent.map(|agent| agent.len()), Some(MAX_AGENT));
    }

    #[test]
    fn what_is_no_address_and_no_name_is_not_kept() {
        let details = SessionDetails::new(Some("203.0.113.9, 10.0.0.1"), Some("\u{7f}\t"));
        assert_eq!(details, SessionDetails::default());
    }
}
