use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use slipway_runtime::{
    ContainerRuntime, ContainerStatus, Labels, PodmanConfig, PodmanRuntime, Removal, RuntimeError,
};

use crate::fixture::{Fixture, runs};

#[tokio::test]
async fn a_killed_instance_is_gone_whatever_it_ignores() {
    let fixture = Fixture::new().await;
    let seconds = format!("7{:07}", std::process::id());
    // Deaf to what asks nicely.
    let script = format!("trap '' TERM INT HUP; sleep {seconds} & sleep {seconds}; sleep {seconds}");
    let id = fixture.started(&fixture.instance(&script)).await;
    crate::fixture::until("it runs", async || runs(&seconds)).await;

    let begin = Instant::now();
    let removal = fixture.podman.kill_and_remove(&id).await.unwrap();

    println!("its removal took {:?}", begin.elapsed());
    assert!(matches!(removal, Removal::Removed | Removal::OnlyKilled));
    crate::fixture::until("its processes are gone", async || !runs(&seconds)).await;
    crate::fixture::until("it is gone", async || {
        fixture.podman.kill_and_remove(&id).await == Ok(Removal::AlreadyGone)
    })
    .await;
}

#[tokio::test]
async fn an_instance_goes_from_created_over_running_to_exited() {
    let fixture = Fixture::new().await;
    let spec = fixture.instance("echo to stdout; echo to stderr >&2; exit 3");
    let id = fixture.podman.create_instance(&spec).await.unwrap();
    let created = fixture.podman.inspect(&id).await.unwrap();
    assert_eq!((created.status, created.exit_code), (ContainerStatus::Created, None));

    fixture.podman.start(&id).await.unwrap();
    let exited = fixture.until_exited(&id).await;

    assert_eq!((exited.exit_code, exited.out_of_memory, exited.pid), (Some(3), false, None));
    let log = fixture.podman.log_tail(&id, 1000).await.unwrap();
    assert!(log.contains("to stdout") && log.contains("to stderr"), "{log}");
}

#[tokio::test]
async fn starting_twice_is_fine() {
    let fixture = Fixture::new().await;
    let id = fixture.started(&fixture.instance("sleep 1000")).await;

    assert_eq!(fixture.podman.start(&id).await, Ok(()));
    let state = fixture.podman.inspect(&id).await.unwrap();
    assert_eq!((state.status, state.pid.is_some()), (ContainerStatus::Running, true));
}

#[tokio::test]
async fn containers_are_found_by_all_of_their_labels() {
    let fixture = Fixture::new().await;
    let mut spec = fixture.instance("sleep 1000");
    spec.labels.insert("slipway.kind".into(), "instance".into());
    let id = fixture.podman.create_instance(&spec).await.unwrap();

    let found = fixture.podman.list_owned(&spec.labels).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0].id, &found[0].name, &found[0].labels["slipway.kind"][..]),
        (&id, &spec.name, "instance")
    );
    assert_eq!(found[0].status, ContainerStatus::Created);

    let mut other = spec.labels.clone();
    other.insert("slipway.kind".into(), "other".into());
    assert_eq!(fixture.podman.list_owned(&other).await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_instance_without_its_image_or_its_directory_is_refused() {
    let fixture = Fixture::new().await;
    let mut no_image = fixture.instance("true");
    no_image.image = "localhost/slipway-test/nothing:1".into();
    let error = fixture.podman.create_instance(&no_image).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound { .. }), "{error}");

    let mut no_directory = fixture.instance("true");
    no_directory.socket_directory = "/nowhere/at/all".into();
    let error = match fixture.podman.create_instance(&no_directory).await {
        Ok(id) => fixture.podman.start(&id).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}

#[tokio::test]
async fn the_name_of_an_instance_is_taken_once() {
    let fixture = Fixture::new().await;
    let spec = fixture.instance("true");
    fixture.podman.create_instance(&spec).await.unwrap();

    let error = fixture.podman.create_instance(&spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
    assert!(error.to_string().contains(&spec.name), "{error}");
}

#[tokio::test]
async fn a_flood_of_output_keeps_its_end_within_bounds() {
    let fixture = Fixture::new().await;
    let spec = fixture.instance("yes a line | head -c 1000000; echo the end");
    let (_, log) = fixture.run(&spec).await;

    assert!(log.ends_with("the end"), "{}", &log[log.len().saturating_sub(100)..]);
    assert!(log.len() <= 64 << 10, "{}", log.len());
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_found() {
    let fixture = Fixture::new().await;
    let id = fixture.podman.create_instance(&fixture.instance("true")).await.unwrap();
    fixture.podman.kill_and_remove(&id).await.unwrap();

    let missing = |error: RuntimeError| matches!(error, RuntimeError::NotFound { .. });
    assert!(missing(fixture.podman.inspect(&id).await.unwrap_err()));
    assert!(missing(fixture.podman.start(&id).await.unwrap_err()));
    let error = fixture.podman.log_tail(&id, 1000).await.unwrap_err();
    assert!(missing(error.clone()), "{error:?}");
}

#[tokio::test]
async fn no_service_is_an_unavailable_one() {
    let podman = PodmanRuntime::new(PodmanConfig::new("/nowhere/podman.sock"));

    let error = podman.report().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error:?}");
    let error = podman.list_owned(&Labels::new()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn the_report_names_what_answers() {
    let fixture = Fixture::new().await;
    let report = fixture.podman.report().await.unwrap();

    assert!(report.version.starts_with("podman "), "{report:?}");
    assert!(["v1", "v2"].contains(&&report.cgroup_version[..]), "{report:?}");
}

#[tokio::test]
async fn a_process_that_podman_does_not_know_of_goes_with_its_container() {
    let fixture = Fixture::new().await;
    if fixture.podman.report().await.unwrap().rootless {
        return; // Only root makes cgroups anywhere.
    }
    let id = fixture.podman.create_instance(&fixture.instance("sleep 1000")).await.unwrap();
    // What a Podman leaves that was killed between the creation of the process and its start.
    let all = Path::new("/sys/fs/cgroup");
    let root = if all.join("cgroup.controllers").exists() { all.to_path_buf() } else { all.join("pids") };
    let cgroup = root.join(format!("libpod-{id}"));
    std::fs::create_dir(&cgroup).unwrap();
    let mut left = Command::new("sleep").arg("1000").spawn().unwrap();
    std::fs::write(cgroup.join("cgroup.procs"), left.id().to_string()).unwrap();

    let removal = fixture.podman.kill_and_remove(&id).await;

    let ended = left.wait().unwrap();
    assert_eq!((removal, ended.signal()), (Ok(Removal::Removed), Some(9)));
    crate::fixture::until("its cgroup is gone", async || !cgroup.exists()).await;
}
