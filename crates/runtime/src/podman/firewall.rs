//! The rules that keep the bridges of egress networks away from everything that is not public.
//!
//! They are one chain in the table `raw`, entered by the names of the bridges: a packet meets it before connections
//! are tracked, before addresses are translated, and whatever else stands in `FORWARD` and `INPUT`. They know no
//! network by itself, so they stand before the first one is made and until the last one is gone.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{EgressConfig, RuntimeError};

/// What is not public, as the registry of special-purpose addresses (RFC 6890) has it, and multicast. Ranges for
/// documentation lead nowhere, and are not here.
const NOT_PUBLIC: [&str; 11] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// How long one command may take, most of which is waiting for others to let go of the firewall.
const PATIENCE: Duration = Duration::from_secs(10);
const WAIT: &str = "--wait=5";

/// Puts the rules in place, or in place again: they may have been flushed by somebody else.
pub(super) async fn install(config: &EgressConfig) -> Result<(), RuntimeError> {
    run("iptables-restore", &[WAIT, "--noflush"], &chain(config)).await?;
    insert("iptables", config, &config.chain).await?;
    if has_ipv6() {
        insert("ip6tables", config, "DROP").await?;
    }
    Ok(())
}

/// Removes the rules. Those that are not there are fine.
pub(super) async fn remove(config: &EgressConfig) -> Result<(), RuntimeError> {
    delete("iptables", config, &config.chain).await?;
    if has_ipv6() {
        delete("ip6tables", config, "DROP").await?;
    }
    // Declaring a chain makes it or empties it, so that there is one to remove.
    let input = format!("*raw\n:{0} - [0:0]\n-X {0}\nCOMMIT\n", config.chain);
    run("iptables-restore", &[WAIT, "--noflush"], &input).await
}

/// The chain as `iptables-restore` reads it: replaced whole, at once.
fn chain(config: &EgressConfig) -> String {
    let chain = &config.chain;
    let mut rules = format!("*raw\n:{chain} - [0:0]\n");
    let mut add = |rule: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(rules, "-A {chain} {rule}");
    };
    for resolver in &config.resolvers {
        add(&format!("-d {resolver} -p udp --dport 53 -j RETURN"));
        add(&format!("-d {resolver} -p tcp --dport 53 -j RETURN"));
    }
    for allowed in &config.allow {
        let range = format!("-d {}/{}", allowed.address, allowed.prefix);
        match allowed.port {
            Some(port) => {
                add(&format!("{range} -p tcp --dport {port} -j RETURN"));
                add(&format!("{range} -p udp --dport {port} -j RETURN"));
            }
            None => add(&format!("{range} -j RETURN")),
        }
    }
    // Whatever address this host has, public ones too.
    add("-m addrtype --dst-type LOCAL -j DROP");
    for range in NOT_PUBLIC {
        add(&format!("-d {range} -j DROP"));
    }
    rules.push_str("COMMIT\n");
    rules
}

async fn insert(program: &str, config: &EgressConfig, target: &str) -> Result<(), RuntimeError> {
    if has(program, config, target).await? {
        return Ok(());
    }
    run(program, &rule("-I", config, target).each_ref().map(String::as_str), "").await
}

async fn delete(program: &str, config: &EgressConfig, target: &str) -> Result<(), RuntimeError> {
    while has(program, config, target).await? {
        run(program, &rule("-D", config, target).each_ref().map(String::as_str), "").await?;
    }
    Ok(())
}

async fn has(program: &str, config: &EgressConfig, target: &str) -> Result<bool, RuntimeError> {
    match run(program, &rule("-C", config, target).each_ref().map(String::as_str), "").await {
        Ok(()) => Ok(true),
        // A rule, or a chain, that is not there; what is truly wrong fails again at the next step.
        Err(RuntimeError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn rule(action: &str, config: &EgressConfig, target: &str) -> [String; 9] {
    let bridges = format!("{}+", config.interfaces);
    [WAIT, "-t", "raw", action, "PREROUTING", "-i", &bridges, "-j", target].map(str::to_owned)
}

/// Runs one of the firewall's commands. `Unsupported` where there is none.
async fn run(program: &str, arguments: &[&str], input: &str) -> Result<(), RuntimeError> {
    let missing = |cause: std::io::Error| RuntimeError::Unsupported { what: format!("{program}: {cause}") };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ended early says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .map_err(|_| RuntimeError::TimedOut { what: "a change of the firewall", after: PATIENCE })?
        .map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RuntimeError::Refused { what: format!("{program}: {}", said.trim_end()) })
}

fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_comes_before_what_is_not() {
        let config = EgressConfig {
            chain: "SLIPWAY-1".into(),
            interfaces: "sl1".into(),
            resolvers: vec!["10.0.0.53".parse().unwrap()],
            allow: vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.1:5432".parse().unwrap()],
        };
        let rules = chain(&config);
        let lines: Vec<&str> = rules.lines().collect();
        assert_eq!(
            lines[..9],
            [
                "*raw",
                ":SLIPWAY-1 - [0:0]",
                "-A SLIPWAY-1 -d 10.0.0.53 -p udp --dport 53 -j RETURN",
                "-A SLIPWAY-1 -d 10.0.0.53 -p tcp --dport 53 -j RETURN",
                "-A SLIPWAY-1 -d 10.1.0.0/16 -j RETURN",
                "-A SLIPWAY-1 -d 127.0.0.1/32 -p tcp --dport 5432 -j RETURN",
                "-A SLIPWAY-1 -d 127.0.0.1/32 -p udp --dport 5432 -j RETURN",
                "-A SLIPWAY-1 -m addrtype --dst-type LOCAL -j DROP",
                "-A SLIPWAY-1 -d 0.0.0.0/8 -j DROP",
            ]
        );
        assert_eq!(lines.iter().filter(|line| line.ends_with("-j DROP")).count(), 12);
        assert_eq!(lines.last(), Some(&"COMMIT"));
    }
}
