//! What hostile code tries from inside an instance, and what that does to others. Each limit by itself is tried in
//! `crates/runtime/tests/it/limits.rs`.

use std::time::Instant;

use serde_json::{Value, json};
use slipway_end_to_end::{Mode, Platform, containers_of, processes_of};
use slipway_models::functions::ExecutionStatus;

use crate::support::{call, client_of, delete, deploy, deploy_with, eventually, is_rootless, token_of};

/// Tries what it must not be able to do; each outcome is text.
const BURGLAR: &str = r#"
import ctypes, json, os, socket

libc = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_MOUNTS, REMOUNT_WRITABLE = 0x10000000, 0x20000, 32 | 4096

def tried(action):
    try:
        return f"did: {action()}"
    except OSError as fault:
        return f"refused: {fault.strerror}"

def system_call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "done"

def write(path):
    with open(path, "w") as file:
        return file.write("mine")

def fill(path):
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(1024 * 1024))
    return os.path.getsize(path)

def connect(address):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as dialler:
        dialler.settimeout(2)
        dialler.connect(address)

def names_with(marker):
    found = []
    for folder, folders, files in os.walk("/"):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys")]
        found += [os.path.join(folder, name) for name in folders + files if marker in name]
    return found

def environments_with(marker):
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                if marker.encode() in file.read():
                    found.append(process)
        except OSError:
            pass
    return found

def in_namespaces_of_its_own():
    """Seccomp's default lets a process have these. Within them it is root of nothing that is not its own."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        libc.unshare(NEW_USER | NEW_MOUNTS)
        outcomes = {
            "root": tried(lambda: system_call(libc.mount, None, b"/", None, REMOUNT_WRITABLE, None)),
            "socket": tried(lambda: system_call(libc.mount, None, b"/run/slipway", None, REMOUNT_WRITABLE, None)),
            "unmounts": tried(lambda: system_call(libc.umount2, b"/run/slipway", 2)),
            "writes": tried(lambda: write("/x")),
            "becomes_root": tried(lambda: os.setuid(0)),
        }
        os.write(writer, json.dumps(outcomes).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    return json.loads(os.read(reader, 65536))

def handle(request, context):
    marker, port = request["body"]["marker"], request["body"]["port"]
    kernel = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs"]
    places = ["/x", "/etc/x", "/run/slipway/x", "/run/slipway/runner.sock", "/var/x", "/dev/x", *kernel]
    addresses = [("127.0.0.1", port), ("169.254.169.254", 80), ("10.0.0.1", 80), ("1.1.1.1", 53), ("::1", port)]
    return {
        "writes": {place: tried(lambda: write(place)) for place in places},
        "too_much": tried(lambda: fill("/tmp/much")),
        "left": tried(lambda: os.unlink("/tmp/much")),
        "reaches": {address[0]: tried(lambda: connect(address)) for address in addresses},
        "becomes_root": tried(lambda: os.setuid(0)),
        "mounts": tried(lambda: system_call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)),
        "device": tried(lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0))),
        "raw_socket": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "in_namespaces_of_its_own": in_namespaces_of_its_own(),
        "kills_others": tried(lambda: os.kill(request["body"]["process"], 0)),
        "socket_directory": tried(lambda: os.listdir("/run/slipway")),
        "files": names_with(marker),
        "environments": environments_with(marker),
        "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    }
"#;

/// Leaves its marker where another could find it.
const VICTIM: &str = r#"
import subprocess

def handle(request, context):
    marker = request["body"]
    with open(f"/tmp/{marker}", "w") as file:
        file.write(marker)
    subprocess.Popen(["sleep", "600"], env={"SECRET": marker})
    return "left"
"#;

#[tokio::test]
async fn a_hostile_function_reaches_nothing_that_is_not_its_own() {
    let platform = Platform::start(Mode::Standalone).await;
    let (ada_token, eve_token) = (token_of(&platform, "ada").await, token_of(&platform, "eve").await);
    let (ada, eve) = (client_of(&platform, &ada_token), client_of(&platform, &eve_token));
    let marker = format!("marker-{}", std::process::id());
    let victim = deploy(&platform, &ada_token, "victim", VICTIM).await;
    ada.invoke(victim, &call(json!(marker))).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    let config = json!({"tmp_mb": 8, "timeout_ms": 60_000});
    let burglar = deploy_with(&platform, &eve_token, "burglar", BURGLAR, Some(config)).await;
    let plan = json!({"marker": marker, "port": port, "process": std::process::id()});
    let found = eve.invoke(burglar, &call(plan)).await.unwrap().result;

    for group in ["writes", "reaches", "in_namespaces_of_its_own"] {
        for (what, outcome) in found[group].as_object().unwrap() {
            assert!(is_refused(outcome), "{group} {what}: {found:#}");
        }
    }
    for attempt in
        ["becomes_root", "mounts", "device", "raw_socket", "kills_others", "too_much", "socket_directory"]
    {
        assert!(is_refused(&found[attempt]), "{attempt}: {found:#}");
    }
    assert_eq!(found["left"], "did: None", "what it wrote is where it said: {found:#}");
    for nothing in ["files", "environments"] {
        assert_eq!(found[nothing], json!([]), "{nothing}: {found:#}");
    }
    assert!(found["processes"].as_array().unwrap().len() < 10, "only its own: {found:#}");

    nobody_is_root_on_the_host(&platform).await;
    delete(&ada, &[victim]).await;
    delete(&eve, &[burglar]).await;
}

/// As the host sees them: no process of an instance has a user id of the host's own, nor any capability.
async fn nobody_is_root_on_the_host(platform: &Platform) {
    let rootless = is_rootless().await;
    let processes = processes_of(&containers_of(&platform.state()));
    assert!(processes.len() >= 4, "a bridge and a worker in each of two: {processes:?}");
    for process in processes {
        // One that has ended meanwhile has no identity to judge.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        for id in field("Uid:").into_iter().chain(field("Gid:")) {
            let id: u32 = id.parse().unwrap();
            assert!(id != 0 && (rootless || id >= 65_536), "process {process}: {status}");
        }
        for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), ["0000000000000000"], "process {process}: {status}");
        }
        assert_eq!(field("NoNewPrivs:"), ["1"], "process {process}: {status}");
    }
}

/// Takes what it can of processes and memory, and tries to live on.
const GLUTTON: &str = r#"
import os, signal, time

def handle(request, context):
    what = request["body"]
    if what == "fork":
        children = 0
        while children < 1000:
            try:
                if os.fork() == 0:
                    time.sleep(600)
                    os._exit(0)
            except OSError as fault:
                return {"children": children, "fault": fault.strerror}
            children += 1
        return {"children": children}
    if what == "eat":
        eaten = []
        while True:
            eaten.append(os.urandom(1024 * 1024) * 8)
    if what == "live on":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    time.sleep(600)
            os._exit(0)
        time.sleep(600)
    return what
"#;

#[tokio::test]
async fn what_a_hostile_function_takes_it_takes_from_itself() {
    let platform = Platform::start(Mode::Standalone).await;
    let (ada_token, eve_token) = (token_of(&platform, "ada").await, token_of(&platform, "eve").await);
    let (ada, eve) = (client_of(&platform, &ada_token), client_of(&platform, &eve_token));
    let config = json!({"memory_mb": 96, "timeout_ms": 60_000});
    let glutton = deploy_with(&platform, &eve_token, "glutton", GLUTTON, Some(config)).await;
    let echo = "def handle(request, context):\n    return request['body']\n";
    let neighbour = deploy(&platform, &ada_token, "neighbour", echo).await;
    assert_eq!(ada.invoke(neighbour, &call(1.into())).await.unwrap().result, 1);

    let forked = eve.invoke(glutton, &call(json!("fork"))).await.unwrap().result;
    assert!(forked["children"].as_u64().unwrap() < 128, "{forked:#}");
    assert_eq!(forked["fault"], "Resource temporarily unavailable", "{forked:#}");
    // Its children live on, at their limit; the other function's instance serves as before.
    let answer = ada.invoke(neighbour, &call(2.into())).await.unwrap();
    assert_eq!((answer.result, answer.cold_start), (json!(2), false));

    let ate = eve.invoke(glutton, &call(json!("eat"))).await.err().unwrap();
    assert_eq!((ate.status(), ate.code()), (Some(502), Some("function_failed")), "{ate}");
    let execution = ate.problem().and_then(|problem| problem.execution_id.clone()).unwrap();
    let run = eve.execution(execution.parse().unwrap()).await.unwrap();
    assert_eq!((run.status, run.error.unwrap().kind.as_str()), (ExecutionStatus::Failed, "out_of_memory"));
    let answer = ada.invoke(neighbour, &call(3.into())).await.unwrap();
    assert_eq!((answer.result, answer.cold_start), (json!(3), false));

    delete(&eve, &[glutton]).await;
    delete(&ada, &[neighbour]).await;
}

#[tokio::test]
async fn nothing_of_a_call_outlives_its_deadline() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "eve").await;
    let eve = client_of(&platform, &token);
    let config = json!({"timeout_ms": 5_000});
    let id = deploy_with(&platform, &token, "survivor", GLUTTON, Some(config)).await;
    eve.invoke(id, &call(json!("warm"))).await.unwrap();
    let instance = containers_of(&platform.state());
    let warm = processes_of(&instance).len();

    let lives_on = tokio::spawn({
        let eve = eve.clone();
        async move { eve.invoke(id, &call(json!("live on"))).await }
    });
    eventually("its detached child", async || (processes_of(&instance).len() > warm).then_some(())).await;
    let ended = lives_on.await.unwrap().err().unwrap();
    let answered = Instant::now();
    eventually("the end of all of it", async || processes_of(&instance).is_empty().then_some(())).await;

    println!("the last process was gone {:?} after the answer", answered.elapsed());
    assert_eq!((ended.status(), ended.code()), (Some(504), Some("function_timed_out")), "{ended}");
    assert_eq!(eve.invoke(id, &call(json!("again"))).await.unwrap().result, "again");
    delete(&eve, &[id]).await;
}

fn is_refused(outcome: &Value) -> bool {
    outcome.as_str().is_some_and(|outcome| outcome.starts_with("refused: "))
}
