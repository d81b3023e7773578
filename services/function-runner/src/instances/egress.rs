//! The networks of instances that reach the internet: one for each owner, from its first instance to its last.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use slipway_config::Reader;
use slipway_kernel::UserId;
use slipway_runtime::{Destination, EgressConfig, Labels, NetworkSpec, RuntimeError};

use super::{CheckFailure, Shared, StartFailure};
use crate::runner_id::RunnerId;

const KIND: &str = "egress";
/// Where the host's name servers are found: the second where the first names but a local stub of systemd's.
const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What instances with `egress` may reach beside the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressSettings {
    /// Their name servers; the host's where none is set.
    pub resolvers: Vec<Ipv4Addr>,
    /// What may be reached although it is not public.
    pub allow: Vec<Destination>,
}

impl EgressSettings {
    /// Reads `EGRESS_DNS` (IPv4 addresses) and `EGRESS_ALLOW` (`ADDRESS[/PREFIX][:PORT]`), each separated by commas.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let resolvers = reader.list("EGRESS_DNS").unwrap_or_else(host_resolvers);
        Self { resolvers, allow: reader.list("EGRESS_ALLOW").unwrap_or_default() }
    }

    /// Returns what the container runtime needs to know. Names on the host end in random digits of the runner's id.
    pub(crate) fn of_runner(&self, runner: &RunnerId) -> EgressConfig {
        EgressConfig {
            chain: format!("SLIPWAY-{}", runner.last_digits(12)),
            interfaces: interfaces(runner),
            resolvers: self.resolvers.clone(),
            allow: self.allow.clone(),
        }
    }
}

/// The host's name servers, but those that listen on the host alone.
fn host_resolvers() -> Vec<Ipv4Addr> {
    let read = |path| resolvers(&fs::read_to_string(path).unwrap_or_default());
    RESOLVER_FILES.into_iter().map(read).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The name servers of a `resolv.conf(5)` that can be reached from elsewhere.
fn resolvers(text: &str) -> Vec<Ipv4Addr> {
    let addresses = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    addresses.filter(|address: &Ipv4Addr| !address.is_loopback() && !address.is_unspecified()).collect()
}

fn interfaces(runner: &RunnerId) -> String {
    format!("sl{}", runner.last_digits(4))
}

/// Which networks are in use.
#[derive(Default)]
pub(super) struct Networks {
    members: Mutex<HashMap<String, usize>>,
    /// Held while a network is made or removed, so that none is removed that was just joined.
    changes: tokio::sync::Mutex<Changes>,
}

/// What may be in place on the host.
struct Changes {
    has_rules: bool,
}

impl Default for Changes {
    /// A process that was killed may have left them.
    fn default() -> Self {
        Self { has_rules: true }
    }
}

/// The use of a network by an instance, from before its container is created until that is removed.
pub(super) struct Membership {
    pub(super) network: String,
    networks: Arc<Networks>,
}

impl Networks {
    fn members(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, network: String) -> Membership {
        *self.members().entry(network.clone()).or_default() += 1;
        Membership { network, networks: Arc::clone(self) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.networks.members();
        if let Some(count) = members.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                members.remove(&self.network);
            }
        }
    }
}

impl Shared {
    /// Joins the network of an owner, which is made where there is none.
    pub(super) async fn join_network(&self, owner: UserId) -> Result<Membership, StartFailure> {
        let spec = self.network_of(owner);
        let mut changes = self.networks.changes.lock().await;
        let membership = self.networks.join(spec.name.clone());
        changes.has_rules = true;
        match self.runtime.ensure_network(&spec).await {
            Ok(()) => Ok(membership),
            Err(RuntimeError::Unsupported { what }) => {
                Err(CheckFailure::of("egress_unavailable", format!("egress cannot be had here: {what}"))
                    .into())
            }
            Err(cause) => Err(StartFailure::Platform(cause.to_string())),
        }
    }

    /// Removes the networks of this runner that no instance uses, and with the last one the rules of all.
    pub(super) async fn remove_unused_networks(&self) {
        let mut changes = self.networks.changes.lock().await;
        if changes.has_rules
            && let Err(error) = self.remove_networks(&mut changes).await
        {
            // One that a container still uses goes with that, on a later sweep.
            tracing::warn!(%error, "cannot remove the networks of instances");
        }
    }

    async fn remove_networks(&self, changes: &mut Changes) -> Result<(), RuntimeError> {
        let mut left = 0;
        for network in self.runtime.list_networks(&self.network_labels()).await? {
            if self.networks.members().contains_key(&network.name) {
                left += 1;
            } else {
                self.runtime.remove_network(&network.name).await?;
            }
        }
        if left == 0 {
            self.runtime.close_egress().await?;
            changes.has_rules = false;
        }
        Ok(())
    }

    fn network_of(&self, owner: UserId) -> NetworkSpec {
        let digest = hex::encode(Sha256::digest(owner.as_uuid().as_bytes()));
        let mut labels = self.network_labels();
        labels.insert("dev.slipway.owner".to_owned(), owner.to_string());
        NetworkSpec {
            name: format!("slipway-{}-{}", self.runner, &digest[..16]),
            interface: format!("{}{}", interfaces(&self.runner), &digest[..9]),
            labels,
        }
    }

    fn network_labels(&self) -> Labels {
        Labels::from([
            (RunnerId::LABEL.to_owned(), self.runner.to_string()),
            (super::launch::KIND_LABEL.to_owned(), KIND.to_owned()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    #[test]
    fn a_name_server_on_the_host_alone_is_none() {
        let text = "# stub\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 192.168.1.1\nsearch lan\nnameserver 9.9.9.9\n";
        assert_eq!(resolvers(text), [Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::new(9, 9, 9, 9)]);
        assert_eq!(resolvers("nameserver 127.0.0.53\n"), Vec::<Ipv4Addr>::new());
    }

    #[test]
    fn settings_are_lists_and_a_fault_is_named() {
        let settings =
            Settings::from_pairs([("EGRESS_DNS", "9.9.9.9"), ("EGRESS_ALLOW", "10.0.0.0/8, 10.1.2.3:5432")]);
        let mut reader = Reader::new(&settings);
        let read = EgressSettings::read(&mut reader);
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!((read.resolvers.len(), read.allow.len()), (1, 2));

        let settings = Settings::from_pairs([("EGRESS_ALLOW", "10.0.0.0/8,intranet")]);
        let mut reader = Reader::new(&settings);
        EgressSettings::read(&mut reader);
        let fault = reader.finish().unwrap_err().to_string();
        assert!(fault.starts_with("EGRESS_ALLOW cannot be read: an entry must be"), "{fault}");
    }
}
