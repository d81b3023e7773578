use std::fs;

use podman_api::opts::{NetworkListFilter, NetworkListOpts};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::{PodmanRuntime, firewall};
use crate::{EgressConfig, Labels, NetworkSpec, OwnedNetwork, RuntimeError};

/// The longest name of an interface (`IFNAMSIZ`, netdevice(7)), less its terminating zero.
const MAX_INTERFACE_NAME: usize = 15;

/// Returns the settings of egress networks where this host can hold what they promise.
pub(super) async fn require_egress(runtime: &PodmanRuntime) -> Result<&EgressConfig, RuntimeError> {
    let unsupported = |what: &str| RuntimeError::Unsupported { what: what.to_owned() };
    let Some(config) = &runtime.config.egress else {
        return Err(unsupported("networks for instances are not configured"));
    };
    if runtime.host().await?.rootless {
        return Err(unsupported(
            "Podman runs without root: what instances send leaves this host as the user's own, and no rule of a \
             firewall can tell the two apart",
        ));
    }
    if config.resolvers.is_empty() {
        return Err(unsupported(
            "the host names no IPv4 name server that instances can reach; set EGRESS_DNS",
        ));
    }
    if !shares_network(runtime).await {
        return Err(unsupported(
            "Podman runs in another network namespace than this process, whose firewall does not see its bridges",
        ));
    }
    Ok(config)
}

/// Whether Podman's bridges are where this process's rules are. What cannot be told counts as no.
async fn shares_network(runtime: &PodmanRuntime) -> bool {
    let Ok(stream) = UnixStream::connect(&runtime.config.socket).await else { return false };
    let Some(pid) = stream.peer_cred().ok().and_then(|peer| peer.pid()) else { return false };
    let own = fs::read_link("/proc/self/ns/net");
    own.is_ok_and(|own| fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|other| own == other))
}

pub(super) async fn ensure(runtime: &PodmanRuntime, spec: &NetworkSpec) -> Result<(), RuntimeError> {
    let config = require_egress(runtime).await?;
    let interface = &spec.interface;
    if !interface.starts_with(&config.interfaces) || interface.len() > MAX_INTERFACE_NAME {
        return Err(RuntimeError::Refused { what: format!("{interface:?} is no name of a bridge of ours") });
    }
    // First, so that there is no packet that they have not seen.
    firewall::install(config).await?;
    let network = runtime.transport.api().networks().get(spec.name.as_str());
    if runtime.transport.request(network.exists()).await? {
        return Ok(());
    }
    let body = json!({
        "name": spec.name,
        "driver": "bridge",
        "network_interface": interface,
        "labels": spec.labels,
        "internal": false,
        "ipv6_enabled": false,
        "dns_enabled": false,
        "options": { "isolate": "true" },
    });
    runtime.transport.post::<Value>("/networks/create", &body).await.map(drop)
}

pub(super) async fn remove(runtime: &PodmanRuntime, name: &str) -> Result<bool, RuntimeError> {
    let network = runtime.transport.api().networks().get(name);
    match runtime.transport.request(network.delete()).await {
        Ok(_) => Ok(true),
        Err(RuntimeError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn list(
    runtime: &PodmanRuntime,
    labels: &Labels,
) -> Result<Vec<OwnedNetwork>, RuntimeError> {
    let filters =
        labels.iter().map(|(key, value)| NetworkListFilter::LabelKeyVal(key.clone(), value.clone()));
    let options = NetworkListOpts::builder().filter(filters).build();
    let networks = runtime.transport.api().networks();
    let found = runtime.transport.request(networks.list(&options)).await?;
    let owned = found.into_iter().filter_map(|network| {
        Some(OwnedNetwork {
            name: network.name?,
            labels: network.labels.unwrap_or_default().into_iter().collect(),
        })
    });
    Ok(owned.collect())
}

/// Removes the rules of networks that are all gone.
pub(super) async fn close_egress(runtime: &PodmanRuntime) -> Result<(), RuntimeError> {
    match require_egress(runtime).await {
        Ok(config) => firewall::remove(config).await,
        // There are none then.
        Err(RuntimeError::Unsupported { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
