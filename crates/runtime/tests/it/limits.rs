//! Each limit of an instance, tried from inside.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use slipway_runtime::ContainerRuntime;

use crate::fixture::{Fixture, MIB};

async fn output(script: &str) -> String {
    let fixture = Fixture::new().await;
    let (_, log) = fixture.run(&fixture.instance(script)).await;
    log
}

#[tokio::test]
async fn an_instance_has_no_privilege() {
    let log = output("id; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").await;

    assert!(log.contains("uid=1000(1000) gid=1000(1000) groups=1000(1000)"), "{log}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(log.contains(&format!("{set}:\t0000000000000000")), "{log}");
    }
    assert!(log.contains("NoNewPrivs:\t1"), "{log}");
    assert!(log.contains("Seccomp:\t2"), "{log}");
}

#[tokio::test]
async fn instances_have_user_ids_of_their_own() {
    let fixture = Fixture::new().await;
    if fixture.podman.report().await.unwrap().rootless {
        return; // All of them share the namespace of the one user who runs Podman.
    }
    let spec = || fixture.instance("cat /proc/self/uid_map; sleep 1000");
    let (one, other) = (fixture.started(&spec()).await, fixture.started(&spec()).await);

    let mut ranges = Vec::new();
    for id in [one, other] {
        crate::fixture::until("the map is printed", async || {
            !fixture.podman.log_tail(&id, 1000).await.unwrap().is_empty()
        })
        .await;
        let map = fixture.podman.log_tail(&id, 1000).await.unwrap();
        let numbers: Vec<u32> = map.split_whitespace().map(|it| it.parse().unwrap()).collect();
        ranges.push((numbers[1], numbers[2]));
    }

    assert!(ranges.iter().all(|(first, size)| *first > 0 && *size == 65_536), "{ranges:?}");
    assert!(ranges[0].0.abs_diff(ranges[1].0) >= 65_536, "{ranges:?}");
}

#[tokio::test]
async fn more_memory_than_the_limit_kills() {
    let fixture = Fixture::new().await;
    // `tail` keeps all that it reads: zeros hold no line end.
    let (state, log) = fixture.run(&fixture.instance("exec tail /dev/zero")).await;

    assert_eq!((state.exit_code, state.out_of_memory), (Some(137), true), "{log}");
}

#[tokio::test]
async fn more_processes_than_the_limit_are_refused() {
    let log = output("i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo all").await;

    assert!(log.contains("can't fork"), "{log}");
    assert!(!log.contains("all"), "{log}");
}

#[tokio::test]
async fn the_limit_of_open_files_cannot_be_raised() {
    let log = output("ulimit -n; ulimit -Hn; ulimit -n 257 && echo raised").await;

    assert!(log.starts_with("256\n256"), "{log}");
    assert!(!log.contains("raised"), "{log}");
}

#[tokio::test]
async fn only_so_much_can_be_written() {
    let fixture = Fixture::new().await;
    let mut spec = fixture
        .instance("for d in /tmp /dev/shm; do dd if=/dev/zero of=$d/f bs=1M count=100; wc -c <$d/f; done");
    spec.limits.tmp = 2 * MIB;
    let (_, log) = fixture.run(&spec).await;

    assert_eq!(log.matches("No space left").count(), 2, "{log}");
    assert_eq!(log.matches(&format!("\n{}", 2 * MIB)).count(), 2, "{log}");
}

#[tokio::test]
async fn the_rest_is_read_only() {
    let log = output(
        "for d in / /bin /etc /run /run/slipway /dev /var /sys/fs/cgroup; do \
         touch $d/new 2>/dev/null && echo wrote $d; done; touch /new; echo end",
    )
    .await;

    assert!(log.contains("Read-only file system"), "{log}");
    assert!(!log.contains("wrote") && log.ends_with("end"), "{log}");
}

#[tokio::test]
async fn the_socket_is_reachable_and_cannot_be_replaced() {
    let fixture = Fixture::new().await;
    let spec = fixture.instance(
        "cd /run/slipway; cat socket; rm -f socket; mv socket other; echo bad > socket; echo bad > new; echo end",
    );
    let socket = spec.socket_directory.join("socket");
    fs::write(&socket, "hello\n").unwrap();
    let (_, log) = fixture.run(&spec).await;

    assert!(log.starts_with("hello") && log.ends_with("end"), "{log}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "hello\n", "{log}");
    assert_eq!(fs::read_dir(&spec.socket_directory).unwrap().count(), 1, "{log}");
}

#[tokio::test]
async fn nothing_is_reachable_over_a_network() {
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set_nonblocking(true).unwrap();
    let address = host.local_addr().unwrap();
    let connect = format!("nc -w 5 {} {} </dev/null && echo connected", address.ip(), address.port());
    let log = output(&format!("ip -o link; {connect}; echo end")).await;

    assert!(log.contains("lo:") && log.matches("link/").count() == 1, "{log}");
    assert!(!log.contains("connected") && log.ends_with("end"), "{log}");
    assert!(host.accept().is_err(), "the instance reached the host: {log}");
}

#[tokio::test]
async fn nothing_of_the_environment_of_the_host_is_there() {
    let log = output("env").await;

    let known = ["HOME", "HOSTNAME", "PATH", "PWD", "SHLVL", "TERM", "container"];
    for line in log.lines() {
        let name = line.split('=').next().unwrap();
        assert!(known.contains(&name), "{name} in {log}");
    }
    assert!(log.contains("HOSTNAME=function"), "{log}");
}

#[tokio::test]
async fn processor_time_is_limited() {
    let log =
        output("cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us").await;

    assert!(log.starts_with("50000"), "{log}");
}

#[tokio::test]
async fn code_that_is_laid_into_a_running_instance_can_be_run_and_not_changed() {
    let fixture = Fixture::new().await;
    let script = "while [ ! -e /app/last ]; do sleep 1; done; /app/run; for name in run new; do \
                  touch /app/$name || echo refused; done";
    let mut spec = fixture.instance(script);
    let code = fixture.directory.path().join("code");
    fs::create_dir(&code).unwrap();
    fs::set_permissions(&code, Permissions::from_mode(0o755)).unwrap();
    spec.code_directory = Some(code.clone());
    let id = fixture.started(&spec).await;

    fs::write(code.join("run"), "#!/bin/sh\necho it runs\n").unwrap();
    fs::set_permissions(code.join("run"), Permissions::from_mode(0o755)).unwrap();
    fs::write(code.join("last"), "").unwrap();

    fixture.until_exited(&id).await;
    let log = fixture.podman.log_tail(&id, 1000).await.unwrap();
    assert!(log.starts_with("it runs\n"), "{log}");
    assert_eq!(log.matches("refused").count(), 2, "{log}");
}
