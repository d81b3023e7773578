use std::path::Path;
use std::process::Command;
use std::time::Duration;

use slipway_testkit::required_setting;

use crate::projects::repository;

/// The label by which a function-runner finds its containers and images.
const RUNNER_LABEL: &str = "dev.slipway.runner";

/// Lists the containers of the runner whose state directory this is, running or not.
pub fn containers_of(state: &Path) -> Vec<String> {
    listed(state, &["ps", "--all", "--format", "{{.ID}}"])
}

/// Lists the image tags of the runner whose state directory this is.
pub fn images_of(state: &Path) -> Vec<String> {
    listed(state, &["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .into_iter()
        .filter(|image| !image.starts_with("<none>"))
        .collect()
}

/// Lists the processes of the host that name a container of this runner, by which Podman watches over it.
pub fn watchers_of(state: &Path) -> Vec<u32> {
    let Some(runner) = runner_of(state) else { return Vec::new() };
    let name = format!("slipway-{runner}-");
    processes()
        .filter(|process| {
            let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&name)
        })
        .collect()
}

/// The numbers of all processes of this host.
fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").expect("the host's processes").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Kills the processes of a container as `kill -9` does; one that is gone is fine.
pub fn kill_container(container: &str) {
    let _ = command(&["kill", "--signal", "KILL", container]).output();
}

/// Lists the networks of the instances of the runner whose state directory this is.
pub fn networks_of(state: &Path) -> Vec<String> {
    listed(state, &["network", "ls", "--format", "{{.Name}}"])
}

/// Lists the processes of containers, by the numbers that the host has for them.
pub fn processes_of(containers: &[String]) -> Vec<u32> {
    processes()
        .filter(|process| {
            let cgroup = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
            containers.iter().any(|container| cgroup.contains(container))
        })
        .collect()
}

/// Removes what a platform that was killed left behind. What stays all the same, `scripts/check-nothing-left` finds.
pub(crate) fn remove_all_of(state: &Path) {
    for container in containers_of(state) {
        podman(&["rm", "--force", "--time", "0", &container]);
    }
    for image in images_of(state) {
        podman(&["rmi", "--force", &image]);
    }
    for network in networks_of(state) {
        podman(&["network", "rm", "--force", &network]);
    }
    if let Some(runner) = runner_of(state) {
        let forgotten = Command::new(repository().join("scripts/forget-egress")).arg(runner).status();
        assert!(forgotten.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The id of the runner, once it has one.
fn runner_of(state: &Path) -> Option<String> {
    std::fs::read_to_string(state.join("runner-id")).ok().map(|runner| runner.trim().to_owned())
}

fn listed(state: &Path, arguments: &[&str]) -> Vec<String> {
    let Some(runner) = runner_of(state) else { return Vec::new() };
    let filter = format!("label={RUNNER_LABEL}={runner}");
    let arguments = [arguments, &["--filter", &filter]].concat();
    podman(&arguments).lines().map(str::to_owned).collect()
}

/// Runs Podman, and again where it fails: it loses races against other requests that remove images or containers.
fn podman(arguments: &[&str]) -> String {
    let mut said = String::new();
    for _ in 0..50 {
        let output = command(arguments).output().expect("podman is installed");
        if output.status.success() {
            return String::from_utf8_lossy(&output.stdout).into_owned();
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("podman {arguments:?} does not succeed: {said}");
    String::new()
}

fn command(arguments: &[&str]) -> Command {
    // The variables say which storage: without them it would be the machine's own.
    for name in ["CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"] {
        required_setting(name);
    }
    let mut command = Command::new("podman");
    command.args(arguments);
    command
}
