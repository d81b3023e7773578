use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};
use std::process::Command;

use serde_json::{Value, json};
use slipway_end_to_end::{Mode, Platform, networks_of};

use crate::support::{call, client_of, delete, deploy_with, eventually, is_rootless, token_of};

/// Tells of each address whether a connection came about, and of the network what the kernel does.
const DIALLER: &str = r#"
import socket

def handle(request, context):
    outcomes = {}
    for to in request["body"]:
        host, port = to.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
            outcomes[to] = "connected"
        except OSError as fault:
            outcomes[to] = str(fault)
    with open("/proc/net/route") as routes:
        gateways = [line.split()[2] for line in routes][1:]
    addresses = [socket.inet_ntoa(bytes.fromhex(it)[::-1]) for it in gateways if it != "00000000"]
    return {"outcomes": outcomes, "gateways": addresses}
"#;

#[tokio::test]
async fn a_function_with_egress_reaches_the_internet_and_nothing_of_the_host_or_of_private_networks() {
    if is_rootless().await {
        return; // Egress is refused there: see the tests of function-runner.
    }
    let public = public_server();
    let allowed = exception_for(&public);
    let mut platform = Platform::start_with(Mode::Standalone, &[("EGRESS_ALLOW", &allowed)]).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let config = json!({"egress": true, "timeout_ms": 120_000});
    let id = deploy_with(&platform, &token, "dialler", DIALLER, Some(config)).await;
    let first = ada.invoke(id, &call(json!([public]))).await.unwrap().result;
    assert_eq!(first["outcomes"][&public], "connected", "{first:#}");
    assert_eq!(networks_of(&platform.state()).len(), 1);

    let (v4, v6) = (TcpListener::bind("0.0.0.0:0").unwrap(), TcpListener::bind("[::]:0"));
    v4.set_nonblocking(true).unwrap();
    let port = v4.local_addr().unwrap().port();
    let platform_port = platform.gateway().rsplit(':').next().unwrap().to_owned();
    let mut forbidden: Vec<String> = [
        "127.0.0.1:1",
        "169.254.169.254:80",
        "10.0.0.1:80",
        "172.16.0.1:80",
        "192.168.0.1:80",
        "100.64.0.1:80",
        "192.0.0.192:80",
        "fd00:ec2::254:80",
        "fd00::1:80",
    ]
    .map(str::to_owned)
    .to_vec();
    let gateway = first["gateways"][0].as_str().unwrap();
    let mut hosts = vec![gateway.to_owned(), own_address()];
    hosts.dedup();
    for host in &hosts {
        forbidden.push(format!("{host}:{port}"));
        forbidden.push(format!("{host}:{platform_port}"));
    }
    if let Ok(v6) = &v6 {
        v6.set_nonblocking(true).unwrap();
        let port = v6.local_addr().unwrap().port();
        forbidden.extend(own_link_local_addresses().iter().map(|host| format!("{host}%eth0:{port}")));
    }
    let result = ada.invoke(id, &call(json!(forbidden))).await.unwrap().result;
    for to in &forbidden {
        let outcome = result["outcomes"][to].as_str().unwrap();
        assert_ne!(outcome, "connected", "{to} is reached: {result:#}");
    }
    assert!(v4.accept().is_err() && v6.map_or(true, |v6| v6.accept().is_err()), "the host was reached");

    ada.configure(id, &serde_json::from_value(json!({"egress": false})).unwrap()).await.unwrap();
    let without = ada.invoke(id, &call(json!([public, "203.0.113.1:443"]))).await.unwrap().result;
    assert!(without["outcomes"].as_object().unwrap().values().all(|it| it != "connected"), "{without:#}");
    assert_eq!(without["gateways"], Value::Array(vec![]), "there is no network at all");
    eventually("the network's end", async || networks_of(&platform.state()).is_empty().then_some(())).await;
    delete(&ada, &[id]).await;
    platform.stop();
}

#[tokio::test]
async fn the_network_of_a_killed_platform_goes_when_it_starts_again_and_another_comes_when_it_is_needed() {
    if is_rootless().await {
        return; // Egress is refused there: see the tests of function-runner.
    }
    let mut platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let config = json!({"egress": true, "timeout_ms": 60_000});
    let id = deploy_with(&platform, &token, "dialler", DIALLER, Some(config)).await;
    let state = platform.state();
    assert_eq!(networks_of(&state).len(), 1);
    platform.kill();
    assert_eq!(networks_of(&state).len(), 1, "nobody was there to remove it");

    platform.restart().await;
    eventually("the network's end", async || networks_of(&state).is_empty().then_some(())).await;
    eventually("the end of its rules", async || rules_of(&state).is_empty().then_some(())).await;

    let dialled = ada.invoke(id, &call(json!(["169.254.169.254:80"]))).await.unwrap().result;
    assert_ne!(dialled["outcomes"]["169.254.169.254:80"], "connected", "{dialled:#}");
    assert_eq!(networks_of(&state).len(), 1);
    assert!(!rules_of(&state).is_empty());
    delete(&ada, &[id]).await;
    platform.stop();
    assert_eq!((networks_of(&state), rules_of(&state)), (vec![], vec![]));
}

/// The firewall's rules of the runner whose state directory this is.
fn rules_of(state: &std::path::Path) -> Vec<String> {
    let runner = std::fs::read_to_string(state.join("runner-id")).unwrap();
    let digits = &runner.trim()[runner.trim().len() - 12..];
    let output = Command::new("iptables-save").args(["-t", "raw"]).output().unwrap();
    let saved = String::from_utf8(output.stdout).unwrap();
    saved.lines().filter(|line| line.contains(digits)).map(str::to_owned).collect()
}

/// A server outside, as `name:port`: the internet, as far as there is one here. The host's own package source is one.
fn public_server() -> String {
    let output = Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]).output().unwrap();
    let sources = String::from_utf8(output.stdout).unwrap();
    let source = sources.lines().find(|source| source.starts_with("http")).unwrap();
    let source = reqwest::Url::parse(source).unwrap();
    format!("{}:{}", source.host_str().unwrap(), source.port_or_known_default().unwrap())
}

/// What has to be allowed where that server is not public, but a mirror in a network of this host's owner.
fn exception_for(server: &str) -> String {
    let address = server.to_socket_addrs().unwrap().find_map(|address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    let address = address.unwrap();
    if address.ip().is_private() { address.to_string() } else { String::new() }
}

/// The address from which this host reaches the internet.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

/// The link-local addresses of this host: of the instance's bridge, too.
fn own_link_local_addresses() -> Vec<String> {
    let listed = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let addresses = listed.lines().filter_map(|line| {
        let number = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        Some(std::net::Ipv6Addr::from(number))
    });
    addresses.filter(std::net::Ipv6Addr::is_unicast_link_local).map(|it| it.to_string()).collect()
}
