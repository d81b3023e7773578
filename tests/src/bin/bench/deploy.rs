//! A deployment from the first byte of its archive to the answer that it is active: of files that were built before, and
//! of files that changed.

use std::time::{Duration, Instant};

use slipway_clients::platform::{Client, Deploy, DeployTarget};
use slipway_end_to_end::{Mode, Platform, Project};
use slipway_models::functions::{DeploymentBody, DeploymentStatus};

use crate::figures::{Figures, target};

const DEPLOYMENTS: usize = 20;
const FILES: usize = 10;
/// Warm containers of each of the two runtimes: the first instance of a version is one of them.
const SPARES: &str = "2";
/// How long the machine is left alone, so that the warm container that was taken is there again.
const SETTLED: Duration = Duration::from_secs(2);

/// When a deployment came how far, from the beginning of its upload.
struct Steps {
    accepted: Duration,
    active: Duration,
}

pub(crate) async fn measure() {
    let platform = Platform::start_with(Mode::Separate, &[("INSTANCES_WARM", SPARES)]).await;
    let client = platform.sign_in("deploy").await;
    for name in ["python", "node"] {
        deploy(&client, name, &project(name, 0)).await;
        let (mut accepted, mut changed) = <(Figures, Figures)>::default();
        for version in 1..=DEPLOYMENTS {
            tokio::time::sleep(SETTLED).await;
            let steps = deploy(&client, name, &project(name, version)).await;
            accepted.add(steps.accepted);
            changed.add(steps.active);
        }
        let mut unchanged = Figures::default();
        for _ in 1..=DEPLOYMENTS {
            tokio::time::sleep(SETTLED).await;
            unchanged.add(deploy(&client, name, &project(name, DEPLOYMENTS)).await.active);
        }
        println!("{name}, {FILES} files, {DEPLOYMENTS} deployments of each  p50         p99");
        accepted.print("changed: accepted");
        changed.print("changed: active");
        unchanged.print("unchanged: active");
        target("changed p99 <= 2 s", changed.at(0.99) <= Duration::from_secs(2));
        target("unchanged p99 <= 300 ms", unchanged.at(0.99) <= Duration::from_millis(300));
    }
}

/// A function of ten files, each of them of another content in each version.
fn project(runtime: &str, version: usize) -> Project {
    let (main, comment) = match runtime {
        "python" => (("main.py", "def handle(request, context):\n    return 1\n"), "#"),
        _ => (("index.mjs", "export default () => 1;\n"), "//"),
    };
    let ending = main.0.rsplit('.').next().unwrap_or_default();
    let others = (1..FILES).map(|number| {
        (format!("part{number}.{ending}"), format!("{comment} part {number} of version {version}\n"))
    });
    let all: Vec<(String, String)> =
        others.chain([(main.0.to_owned(), format!("{}{comment} version {version}\n", main.1))]).collect();
    let all: Vec<(&str, &str)> =
        all.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    Project::of(&all)
}

async fn deploy(client: &Client, name: &str, project: &Project) -> Steps {
    let archive = project.pack();
    let started = Instant::now();
    let deploy = Deploy { target: DeployTarget::Name(name), archive, config: None };
    let answer = client.deploy(deploy, |_| {}).await.expect("a deployment");
    let accepted = started.elapsed();
    let mut events = client.follow_build_log(answer.deployment.id, None).await.expect("the build's log");
    loop {
        let event = events.next().await.expect("the build's log").expect("the build's end");
        if event.name.as_deref() == Some("end") {
            let ended: DeploymentBody = serde_json::from_str(&event.data).expect("a deployment");
            assert_eq!(ended.status, DeploymentStatus::Active, "{:?}", ended.error);
            return Steps { accepted, active: started.elapsed() };
        }
    }
}
