use std::process::Command;

use crate::projects::repository;

/// A PostgreSQL server of one test's own, which can be crashed and started under the platform.
pub struct TestCluster {
    suffix: String,
    settings: Vec<(String, String)>,
}

impl TestCluster {
    /// Starts a server with an empty database for each service.
    pub fn start_new() -> Self {
        let suffix = format!("pg-{}", std::process::id());
        let urls = run("up", &suffix);
        let pair = |line: &str| line.split_once('=').map(|(name, url)| (name.to_owned(), url.to_owned()));
        Self { settings: urls.lines().filter_map(pair).collect(), suffix }
    }

    /// Returns the variables that name its databases.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect()
    }

    /// Crashes the server: only what is on the disk outlives it.
    pub fn crash(&self) {
        run("stop", &self.suffix);
    }

    /// Starts the server again.
    pub fn start(&self) {
        run("start", &self.suffix);
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        run("down", &self.suffix);
    }
}

fn run(action: &str, suffix: &str) -> String {
    let script = repository().join("scripts/test-cluster");
    let output = Command::new(script).args([action, suffix]).output().expect("the script of the checkout");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/test-cluster {action} {suffix}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
