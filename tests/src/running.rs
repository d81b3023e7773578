use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that ends with this.
pub struct Running(Child);

impl Running {
    /// Starts a program that reads nothing.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|fault| panic!("{}: {fault}", command.get_program().display())))
    }

    /// Returns the number of its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Politely: a master that is killed leaves its workers behind.
        let _ = Command::new("kill").arg(self.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Configures an nginx of one worker in a directory, where its files are to lie, and returns what to start `nginx` with.
/// `http` is what its `http` block holds.
pub fn nginx_arguments(directory: &Path, http: &str) -> [String; 6] {
    // As root the worker may read what only the owner of the directory may.
    let config = format!(
        "user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 19000; }}
http {{
{http}
}}
"
    );
    std::fs::write(directory.join("nginx.conf"), config).expect("nginx's configuration");
    let directory = directory.display().to_string();
    ["-p", &directory, "-c", "nginx.conf", "-e", "error.log"].map(str::to_owned)
}
