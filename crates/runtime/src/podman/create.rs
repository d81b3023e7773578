use std::path::Path;

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use crate::{EgressConfig, InstanceSpec};

/// Where an instance finds its socket.
const SOCKET_DIRECTORY: &str = "/run/slipway";
/// Where an instance finds its code.
const CODE_DIRECTORY: &str = "/app";
/// Inside the instance; outside, a number of its own range.
const USER: &str = "1000:1000";
const HOST_NAME: &str = "function";
/// Microseconds; the kernel's own default.
pub(super) const CPU_PERIOD: u64 = 100_000;
/// Bytes of output kept for `log_tail`.
pub(super) const LOG_BYTES: usize = 64 << 10;
/// Ids of the user namespace of one instance.
const NAMESPACE_SIZE: u32 = 65_536;
/// The kernel takes an instance before anything of the host.
const OUT_OF_MEMORY_SCORE: i32 = 500;

/// The body of Podman's container creation (its `SpecGenerator`). Limits are all spelled out: a default that exceeds
/// the host's hard limit makes the container fail.
pub(super) fn body(spec: &InstanceSpec, rootless: bool, egress: Option<&EgressConfig>) -> Value {
    let mut body = json!({
        "name": spec.name,
        "image": spec.image,
        "labels": spec.labels,
        "user": USER,
        "hostname": HOST_NAME,
        "env_host": false,
        "httpproxy": false,
        "systemd": "false",
        "sdnotifyMode": "ignore",
        "healthconfig": { "Test": ["NONE"] },
        "restart_policy": "no",
        "stop_timeout": 0,
        "remove": false,
        "log_configuration": { "driver": "k8s-file", "size": LOG_BYTES },
        "privileged": false,
        "cap_drop": ["all"],
        "no_new_privileges": true,
        "read_only_filesystem": true,
        "image_volume_mode": "ignore",
        "use_image_hosts": true,
        "use_image_resolve_conf": spec.network.is_none(),
        "netns": { "nsmode": if spec.network.is_some() { "bridge" } else { "none" } },
        "pidns": { "nsmode": "private" },
        "ipcns": { "nsmode": "private" },
        "utsns": { "nsmode": "private" },
        "cgroupns": { "nsmode": "private" },
        "oom_score_adj": OUT_OF_MEMORY_SCORE,
        "shm_size": spec.limits.tmp,
        "resource_limits": resource_limits(spec),
        "r_limits": process_limits(spec, rootless),
        "mounts": mounts(spec),
    });
    if let Some((program, arguments)) = spec.command.split_first() {
        body["entrypoint"] = json!([program]);
        body["command"] = json!(arguments);
    }
    if let (Some(network), Some(egress)) = (&spec.network, egress) {
        body["networks"] = json!({ network: {} });
        body["dns_server"] = json!(egress.resolvers);
        // None: the host's own would tell its domain.
        body["dns_search"] = json!(["."]);
    }
    if !rootless {
        // Without root, every container is inside the user's own namespace already, and its ranges seldom hold two.
        body["userns"] = json!({ "nsmode": "auto" });
        body["idmappings"] = json!({ "AutoUserNs": true, "AutoUserNsOpts": { "Size": NAMESPACE_SIZE } });
    }
    body
}

fn resource_limits(spec: &InstanceSpec) -> Value {
    let limits = &spec.limits;
    json!({
        "memory": { "limit": limits.memory, "swap": limits.memory },
        "cpu": { "quota": cpu_quota(limits.cpu_millis), "period": CPU_PERIOD },
        "pids": { "limit": limits.processes },
    })
}

/// Microseconds of processor time in one period; the kernel takes no less than 1000.
pub(super) fn cpu_quota(cpu_millis: u32) -> u64 {
    (u64::from(cpu_millis) * CPU_PERIOD / 1000).max(1000)
}

fn process_limits(spec: &InstanceSpec, rootless: bool) -> Value {
    // The kernel counts a user's processes by namespace. Without root all instances share one, and a limit meant
    // for one of them would be that of all: there, only the cgroup limits them.
    let processes = if rootless { u64::MAX } else { u64::from(spec.limits.processes) };
    let limit = |name: &str, value: u64| json!({ "type": name, "soft": value, "hard": value });
    json!([
        limit("nofile", at_most_hard(Resource::Nofile, spec.limits.open_files)),
        limit("nproc", at_most_hard(Resource::Nproc, processes)),
        limit("core", 0),
    ])
}

/// A wanted limit, cut to this process's hard limit: without `CAP_SYS_RESOURCE` nobody can raise it for a container.
/// Processes are cut to the kernel's highest process number as well, as Podman does with its own.
pub(super) fn at_most_hard(resource: Resource, wanted: u64) -> u64 {
    let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let highest = match resource {
        Resource::Nproc => std::fs::read_to_string("/proc/sys/kernel/pid_max")
            .ok()
            .and_then(|number| number.trim_end().parse().ok())
            .unwrap_or(u64::MAX),
        _ => u64::MAX,
    };
    // Podman reads these as signed numbers.
    wanted.min(hard).min(highest).min(i64::MAX.unsigned_abs())
}

fn mounts(spec: &InstanceSpec) -> Value {
    let bind = |source: &Path, destination: &str, options: &[&str]| {
        let options = [&["bind", "ro", "nosuid", "nodev", "rprivate"], options].concat();
        json!({ "type": "bind", "source": source, "destination": destination, "options": options })
    };
    let mut mounts = vec![
        bind(&spec.socket_directory, SOCKET_DIRECTORY, &["noexec"]),
        json!(
        {
            "type": "tmpfs",
            "destination": "/tmp",
            "options": ["nosuid", "nodev", "mode=1777", format!("size={}", spec.limits.tmp)],
        }),
    ];
    // Programs may be run from it: packages bring such.
    mounts.extend(spec.code_directory.as_deref().map(|code| bind(code, CODE_DIRECTORY, &[])));
    json!(mounts)
}
