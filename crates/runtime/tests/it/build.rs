use std::fs;
use std::time::Duration;

use slipway_runtime::{ContainerRuntime, RuntimeError};

use crate::fixture::{Fixture, runs, until};

fn tag(fixture: &Fixture) -> String {
    format!("{}-built", fixture.image)
}

#[tokio::test]
async fn a_build_tells_its_log_and_makes_an_image() {
    let fixture = Fixture::new().await;
    let tag = tag(&fixture);
    let mut spec = fixture.build("ARG WORD\nRUN echo the word is $WORD\nCOPY data /data\nUSER 1000", &tag);
    spec.build_args.insert("WORD".into(), "slipway & more".into());
    let mut log = Vec::new();
    let id = fixture.podman.build_image(&spec, &mut |line| log.push(line.to_owned())).await.unwrap();

    assert!(log.contains(&"the word is slipway & more".to_owned()), "{log:#?}");
    assert_eq!(fixture.podman.image_exists(&tag).await, Ok(true));
    let images = fixture.podman.list_images(&fixture.labels).await.unwrap();
    let image = images.iter().find(|image| image.id == id).unwrap();
    assert_eq!(image.tags, std::slice::from_ref(&tag));
    assert_eq!(fixture.podman.find_image(&tag).await.unwrap().as_ref(), Some(image));

    let mut instance = fixture.instance("cat /data");
    instance.image = tag.clone();
    assert_eq!(fixture.run(&instance).await.1, "what is copied");
    assert_eq!(fixture.podman.remove_image(&tag).await, Ok(true));
    assert_eq!(fixture.podman.remove_image(&tag).await, Ok(false));
    assert_eq!(fixture.podman.image_exists(&tag).await, Ok(false));
    assert_eq!(fixture.podman.find_image(&tag).await, Ok(None));
}

#[tokio::test]
async fn a_step_of_a_build_is_confined() {
    let fixture = Fixture::new().await;
    let spec = fixture.build(
        "USER 1000:1000\nRUN readlink /proc/self/ns/net; grep ^Cap /proc/self/status; ulimit -n; ulimit -u; env; \
         cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true",
        &tag(&fixture),
    );
    let mut log = Vec::new();
    fixture.podman.build_image(&spec, &mut |line| log.push(line.to_owned())).await.unwrap();

    let host = fs::read_link("/proc/self/ns/net").unwrap();
    assert!(log.iter().any(|line| line.starts_with("net:[")), "{log:#?}");
    assert!(!log.contains(&host.display().to_string()), "on the network of the host: {log:#?}");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(log.contains(&format!("{set}:\t0000000000000000")), "{log:#?}");
    }
    for limit in [spec.limits.open_files, spec.limits.processes, spec.limits.memory] {
        assert!(log.contains(&limit.to_string()), "{limit} in {log:#?}");
    }
    assert!(!log.iter().any(|line| line.to_lowercase().contains("proxy=")), "{log:#?}");
}

#[tokio::test]
async fn a_failing_step_fails_the_build_with_its_log() {
    let fixture = Fixture::new().await;
    let tag = tag(&fixture);
    let spec = fixture.build("RUN echo before the fault; exit 7", &tag);
    let error = fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err();

    let RuntimeError::BuildFailed { message, log_tail } = error else {
        panic!("{error}");
    };
    assert!(message.contains("exit status 7"), "{message}");
    assert!(log_tail.contains("before the fault"), "{log_tail}");
    assert_eq!(fixture.podman.image_exists(&tag).await, Ok(false));
}

#[tokio::test]
async fn a_build_that_cannot_begin_says_why() {
    let fixture = Fixture::new().await;
    let build = async |steps: &str, tag: &str| {
        let spec = fixture.build(steps, tag);
        fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err().to_string()
    };
    let tag = tag(&fixture);

    let error = build("FROM localhost/slipway-test/nothing:1", &tag).await;
    assert!(error.contains("image not known"), "nothing is ever pulled: {error}");
    let error = build("COPY nothing /", &tag).await;
    assert!(error.contains("nothing"), "{error}");
    let error = build("NONSENSE", &tag).await;
    assert!(error.to_lowercase().contains("nonsense"), "{error}");
    let error = build("", "no tag").await;
    assert!(error.contains("\"no tag\""), "{error}");

    let mut spec = fixture.build("", &tag);
    fs::write(&spec.context, "no tar file").unwrap();
    fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err();
    spec.context = "/nowhere/context.tar".into();
    let error = fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/context.tar"), "{error}");
}

#[tokio::test]
async fn a_build_that_is_given_up_leaves_nothing_running() {
    let fixture = Fixture::new().await;
    let seconds = format!("8{:07}", std::process::id());
    let spec = fixture.build(&format!("RUN sleep {seconds} & sleep {seconds}"), &tag(&fixture));
    {
        let mut log = |_: &str| {};
        let build = fixture.podman.build_image(&spec, &mut log);
        tokio::select! {
            outcome = build => panic!("it ended: {outcome:?}"),
            () = until("the step runs", async || runs(&format!("sleep\0{seconds}"))) => {}
        }
    }

    until("the step is gone", async || !runs(&seconds)).await;
    assert_eq!(fixture.podman.image_exists(&spec.tag).await, Ok(false));
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_ended() {
    let fixture = Fixture::new().await;
    let seconds = format!("9{:07}", std::process::id());
    let mut spec = fixture.build(&format!("RUN sleep {seconds}"), &tag(&fixture));
    spec.timeout = Duration::from_secs(3);
    let error = fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err();

    assert_eq!(error, RuntimeError::TimedOut { what: "the build", after: spec.timeout });
    assert!(!runs(&seconds));
}

#[tokio::test]
async fn a_build_is_ended_when_the_disk_is_short() {
    let mut fixture = Fixture::new().await;
    fixture.require_free(u64::MAX);
    let seconds = format!("7{:07}", std::process::id());
    let spec = fixture.build(&format!("RUN sleep {seconds}"), &tag(&fixture));
    let error = fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err();

    assert!(matches!(error, RuntimeError::DiskShort { left_free: u64::MAX, .. }), "{error}");
    assert!(!runs(&seconds));
    assert_eq!(fixture.podman.image_exists(&spec.tag).await, Ok(false));
}

#[tokio::test]
async fn the_limit_of_memory_holds_in_a_build() {
    let fixture = Fixture::new().await;
    let mut spec = fixture.build("USER 1000\nRUN exec tail /dev/zero", &tag(&fixture));
    spec.limits.memory = 64 << 20;
    let error = fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap_err();

    assert!(matches!(error, RuntimeError::BuildFailed { .. }), "{error}");
}

#[tokio::test]
async fn steps_without_a_tag_are_pruned_by_their_label() {
    let fixture = Fixture::new().await;
    let tag = tag(&fixture);
    let spec = fixture.build("RUN echo one\nRUN echo two", &tag);
    fixture.podman.build_image(&spec, &mut |_| {}).await.unwrap();
    fixture.podman.remove_image(&tag).await.unwrap();

    let mut pruned = 0;
    until("all steps are pruned", async || {
        let now = fixture.podman.prune_dangling(&fixture.labels).await.unwrap();
        pruned += now;
        now == 0
    })
    .await;
    assert_eq!(fixture.podman.image_exists(&fixture.image).await, Ok(true));
    assert!(pruned <= 3, "{pruned}");
}
