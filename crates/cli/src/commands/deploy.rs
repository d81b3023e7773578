use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slipway_clients::platform::{self, DeployTarget};
use slipway_models::functions::{DeployAnswer, DeploymentBody, DeploymentStatus};
use tokio::time::Instant;

use crate::archive;
use crate::arguments::Deploy;
use crate::commands::is_function_name;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::session::Store;

const POLL_EVERY: Duration = Duration::from_millis(300);
/// How long the platform may be away before the command stops to wait for the build.
const BEAR_WITH_FOR: Duration = Duration::from_mins(1);
const LOG_TAIL_LINES: usize = 40;

pub(crate) async fn run(options: Deploy, store: &Store, output: &Output) -> Result<(), Failure> {
    let folder = checked_folder(&options.folder)?;
    let name = checked_name(options.name, &folder)?;
    // Before the work: whoever is not signed in learns it at once.
    store.client().await?;

    let progress = Arc::new(Progress::new());
    let archive = pack(folder, Arc::clone(&progress)).await?;
    let started = upload(&name, archive, store, &progress).await?;
    let deployment = follow(started.deployment, store, &progress).await?;
    drop(progress);

    if deployment.status == DeploymentStatus::Failed {
        return Err(build_failure(&deployment, store).await);
    }
    let (client, url) = store.client().await?;
    let function = client.function(started.function.id).await?;
    let text = match deployment.status {
        DeploymentStatus::Superseded => {
            format!("{name}: version {} was built, but a newer one is in service", deployment.version)
        }
        _ => format!(
            "{name}: version {} is in service at {url}{}\ncall it:  slipway invoke {name}",
            deployment.version, function.url
        ),
    };
    output.result(&DeployAnswer { function, deployment }, &text)
}

fn checked_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let path =
        folder.canonicalize().map_err(|fault| Failure::local(format!("{}: {fault}", folder.display())))?;
    if path.is_dir() {
        return Ok(path);
    }
    Err(Failure::usage(format!("{} is no folder", folder.display())))
}

fn checked_name(given: Option<String>, folder: &Path) -> Result<String, Failure> {
    let of_folder = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = given.unwrap_or_else(of_folder);
    if is_function_name(&name) {
        return Ok(name);
    }
    Err(Failure::usage(format!("{name:?} is no name for a function"))
        .hint("small letters, digits and hyphens, beginning with a letter: slipway deploy --name NAME"))
}

async fn pack(folder: PathBuf, progress: Arc<Progress>) -> Result<File, Failure> {
    let packing = tokio::task::spawn_blocking(move || {
        let total = AtomicU64::new(0);
        progress.show("packing", "");
        archive::pack(&folder, |size| {
            let total = total.fetch_add(size, Ordering::Relaxed) + size;
            progress.show("packing", &megabytes(total));
        })
    });
    packing.await.map_err(|fault| Failure::local(format!("cannot pack the folder: {fault}")))?
}

async fn upload(
    name: &str,
    archive: File,
    store: &Store,
    progress: &Arc<Progress>,
) -> Result<DeployAnswer, Failure> {
    let size = archive.metadata().map_or(0, |metadata| metadata.len());
    let teller = Arc::clone(progress);
    let sent = move |bytes| teller.show("uploading", &format!("{} of {}", megabytes(bytes), megabytes(size)));
    sent(0);
    let deploy = platform::Deploy { target: DeployTarget::Name(name), archive, config: None };
    let (client, _) = store.client().await?;
    Ok(client.deploy(deploy, sent).await?)
}

/// Waits until the deployment has come to an end, over short absences of the platform.
async fn follow(
    mut deployment: DeploymentBody,
    store: &Store,
    progress: &Progress,
) -> Result<DeploymentBody, Failure> {
    let started = Instant::now();
    let mut last_seen = started;
    loop {
        let step = match deployment.status {
            DeploymentStatus::Queued => "waiting for a builder",
            DeploymentStatus::Building => "building",
            DeploymentStatus::Checking => "starting the first instance",
            DeploymentStatus::Active | DeploymentStatus::Superseded | DeploymentStatus::Failed => {
                return Ok(deployment);
            }
        };
        progress.show(step, &format!("{} s", started.elapsed().as_secs()));
        tokio::time::sleep(POLL_EVERY).await;
        match poll(&deployment, store).await {
            Ok(newer) => {
                deployment = newer;
                last_seen = Instant::now();
            }
            Err(failure) if failure.is_unavailable() && last_seen.elapsed() < BEAR_WITH_FOR => {}
            Err(failure) if failure.is_unavailable() => {
                return Err(failure.hint("the build goes on without this command; see: slipway list"));
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn poll(deployment: &DeploymentBody, store: &Store) -> Result<DeploymentBody, Failure> {
    let (client, _) = store.client().await?;
    Ok(client.deployment(deployment.id).await?)
}

/// Shows the end of the build's log and returns what failed.
async fn build_failure(deployment: &DeploymentBody, store: &Store) -> Failure {
    let log = match store.client().await {
        Ok((client, _)) => client.build_log(deployment.id).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match log {
        Ok(build) => {
            let lines: Vec<_> = build.log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..] {
                output::note(&format!("  | {line}"));
            }
        }
        Err(failure) => output::note(&format!("the build's log cannot be read: {}", failure.message)),
    }
    let cause = deployment.error.as_deref().unwrap_or("no cause is recorded");
    Failure::function(format!("version {} could not be built: {cause}", deployment.version))
        .hint("the version before, if there was one, stays in service")
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
