//! What an instance with a network reaches, tried from inside; and what is left of the network afterwards.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use slipway_runtime::{
    ContainerRuntime, EgressConfig, NetworkSpec, PodmanConfig, PodmanRuntime, RuntimeError,
};

use crate::fixture::{Fixture, until};

/// A network of one test's own; dropping it leaves nothing of it.
struct Net {
    fixture: Fixture,
    podman: PodmanRuntime,
    config: EgressConfig,
    spec: NetworkSpec,
}

impl Net {
    /// Makes a network with these exceptions; none where Podman runs without root, which is refused.
    async fn new(allow: &[&str]) -> Option<Self> {
        let fixture = Fixture::new().await;
        let label = fixture.labels["slipway.test"].clone();
        let (process, number) = label.split_once('-').unwrap();
        let digits = format!("{:06x}{number}", process.parse::<u32>().unwrap());
        let config = EgressConfig {
            chain: format!("SLIPWAY-TEST-{digits}"),
            interfaces: format!("st{digits}"),
            resolvers: vec![Ipv4Addr::new(10, 255, 255, 53)],
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let spec = NetworkSpec {
            name: format!("slipway-test-{label}"),
            interface: format!("st{digits}x"),
            labels: fixture.labels.clone(),
        };
        let podman = PodmanRuntime::new(PodmanConfig {
            egress: Some(config.clone()),
            ..PodmanConfig::new(&fixture.socket)
        });
        if podman.report().await.unwrap().rootless {
            let refused = podman.ensure_network(&spec).await;
            assert!(matches!(refused, Err(RuntimeError::Unsupported { .. })), "{refused:?}");
            return None;
        }
        podman.ensure_network(&spec).await.unwrap();
        Some(Self { fixture, podman, config, spec })
    }

    /// Runs a script in an instance of the network, and returns what it printed.
    async fn output(&self, script: &str) -> String {
        let mut spec = self.fixture.instance(script);
        spec.network = Some(self.spec.name.clone());
        let id = self.podman.create_instance(&spec).await.unwrap();
        self.podman.start(&id).await.unwrap();
        self.fixture.until_exited(&id).await;
        let log = self.podman.log_tail(&id, 1000).await.unwrap();
        self.podman.kill_and_remove(&id).await.unwrap();
        log
    }

    fn rules(&self) -> String {
        let saved = ["iptables-save", "ip6tables-save"].map(|program| {
            let output = Command::new(program).args(["-t", "raw"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        let mut ours = String::new();
        for line in saved.iter().flat_map(|text| text.lines()) {
            if line.contains(&self.config.chain) || line.contains(&self.config.interfaces) {
                ours.extend([line, "\n"]);
            }
        }
        ours
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let (config, spec, socket) = (self.config.clone(), self.spec.clone(), self.fixture.socket.clone());
        let labels = self.fixture.labels.clone();
        let removal = std::thread::spawn(move || {
            let podman =
                PodmanRuntime::new(PodmanConfig { egress: Some(config), ..PodmanConfig::new(socket) });
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                for container in podman.list_owned(&labels).await.unwrap() {
                    podman.kill_and_remove(&container.id).await.unwrap();
                }
                podman.remove_network(&spec.name).await.unwrap();
                podman.close_egress().await.unwrap();
            });
        });
        let removed = removal.join();
        assert!(removed.is_ok() || std::thread::panicking(), "a network is left behind");
    }
}

/// A listener on every address of this host, its port, and the host's address on a container's network.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Dials from inside: the container's own gateway, which is this host.
fn dial_gateway(port: u16) -> String {
    format!(
        "nc -w 2 $(ip route | grep ^default | head -n 1 | grep -o '[0-9.]*' | head -n 1) {port} </dev/null && echo connected"
    )
}

#[tokio::test]
async fn the_host_is_out_of_reach_and_so_is_what_is_private() {
    let Some(net) = Net::new(&[]).await else { return };
    let (host, port) = listen();
    let script = format!(
        "ip -4 addr show dev eth0 | grep -q inet && echo up; {}; \
         for to in 169.254.169.254 10.0.0.1 192.168.0.1 100.64.0.1; do nc -w 1 $to 80 </dev/null && echo connected; done; \
         echo end",
        dial_gateway(port)
    );
    let log = net.output(&script).await;

    assert!(log.contains("up") && log.ends_with("end"), "{log}");
    assert!(!log.contains("connected"), "{log}");
    assert!(host.accept().is_err(), "the instance reached the host: {log}");
}

#[tokio::test]
async fn what_is_allowed_is_in_reach() {
    let (host, port) = listen();
    host.set_nonblocking(false).unwrap();
    let Some(net) = Net::new(&[&format!("0.0.0.0/0:{port}")]).await else { return };
    // Closes what it accepts, so that the instance's end is not waited for.
    std::thread::spawn(move || host.accept());
    let log = net.output(&format!("cat /etc/resolv.conf; {}; echo end", dial_gateway(port))).await;

    assert!(log.contains("connected") && log.ends_with("end"), "{log}");
    assert!(log.contains("nameserver 10.255.255.53"), "{log}");
}

#[tokio::test]
async fn two_networks_do_not_reach_each_other() {
    let (Some(one), Some(other)) = (Net::new(&[]).await, Net::new(&[]).await) else { return };
    let mut spec = one.fixture.instance("ip -4 addr show dev eth0; while true; do nc -l -p 8000; done");
    spec.network = Some(one.spec.name.clone());
    let id = one.podman.create_instance(&spec).await.unwrap();
    one.podman.start(&id).await.unwrap();
    let mut address = String::new();
    until("it has an address", async || {
        let log = one.podman.log_tail(&id, 1000).await.unwrap();
        let found = log.split_whitespace().find(|word| word.contains('/') && word.starts_with("10."));
        address = found.and_then(|word| word.split('/').next()).unwrap_or_default().to_owned();
        !address.is_empty()
    })
    .await;

    let log = other.output(&format!("nc -w 2 {address} 8000 </dev/null && echo connected; echo end")).await;

    assert!(!log.contains("connected") && log.ends_with("end"), "{address}: {log}");
}

#[tokio::test]
async fn rules_come_with_the_network_are_put_back_and_go_with_it() {
    let Some(net) = Net::new(&[]).await else { return };
    let rules = net.rules();
    assert!(rules.contains("-m addrtype --dst-type LOCAL -j DROP"), "{rules}");
    assert!(rules.contains("+ -j DROP"), "IPv6: {rules}");
    // Somebody flushes the firewall.
    for arguments in [["-t", "raw", "-D", "PREROUTING"], ["-t", "raw", "-F", &net.config.chain]] {
        let interfaces = format!("{}+", net.config.interfaces);
        let mut command = Command::new("iptables");
        command.arg("--wait=5").args(&arguments[..]);
        if arguments[2] == "-D" {
            command.args(["-i", &interfaces, "-j", &net.config.chain]);
        }
        assert!(command.status().unwrap().success());
    }

    net.podman.ensure_network(&net.spec).await.unwrap();

    assert_eq!(net.rules(), rules);
    assert_eq!(net.podman.list_networks(&net.spec.labels).await.unwrap().len(), 1);
    assert_eq!(net.podman.remove_network(&net.spec.name).await, Ok(true));
    assert_eq!(net.podman.remove_network(&net.spec.name).await, Ok(false));
    net.podman.close_egress().await.unwrap();
    assert_eq!(net.rules(), "");
    net.podman.close_egress().await.unwrap();
}

#[tokio::test]
async fn a_bridge_that_the_rules_would_not_know_is_refused() {
    let Some(net) = Net::new(&[]).await else { return };
    let spec = NetworkSpec { interface: "eth9".into(), ..net.spec.clone() };
    assert!(matches!(net.podman.ensure_network(&spec).await, Err(RuntimeError::Refused { .. })));
}

#[tokio::test]
async fn a_runtime_without_settings_for_it_gives_no_network() {
    let fixture = Fixture::new().await;
    let mut spec = fixture.instance("true");
    spec.network = Some("podman".into());
    let refused = fixture.podman.create_instance(&spec).await;
    assert!(matches!(refused, Err(RuntimeError::Unsupported { .. })), "{refused:?}");
}
