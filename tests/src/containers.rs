use std::path::Path;
use std::process::Command;
use std::time::Duration;

use slipway_testkit::required_setting;

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

/// Removes what a platform that was killed left behind. What Podman cannot remove at once, because it is still tidying
/// up after the kill, it can a moment later; what stays is for `scripts/check-nothing-left` to find.
pub(crate) fn remove_all_of(state: &Path) {
    for container in containers_of(state) {
        removes(&["rm", "--force", "--time", "0", &container]);
    }
    for image in images_of(state) {
        removes(&["rmi", "--force", &image]);
    }
}

fn removes(arguments: &[&str]) {
    for _ in 0..50 {
        if command(arguments).output().is_ok_and(|output| output.status.success()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("podman {arguments:?} does not succeed");
}

fn listed(state: &Path, arguments: &[&str]) -> Vec<String> {
    let Ok(runner) = std::fs::read_to_string(state.join("runner-id")) else { return Vec::new() };
    let filter = format!("label={RUNNER_LABEL}={}", runner.trim());
    let arguments = [arguments, &["--filter", &filter]].concat();
    podman(&arguments).lines().map(str::to_owned).collect()
}

fn podman(arguments: &[&str]) -> String {
    let output = command(arguments).output().expect("podman is installed");
    assert!(output.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
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
