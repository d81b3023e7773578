use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use slipway_clients::platform::{self, DeployTarget};
use slipway_kernel::DeploymentId;
use slipway_models::functions::{
    BuildLogLine, BuildProgress, DeployAnswer, DeploymentBody, DeploymentStatus,
};
use tokio::time::Instant;

use crate::archive;
use crate::arguments::Deploy;
use crate::commands::is_function_name;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::Store;

const REDRAW_EVERY: Duration = Duration::from_millis(300);
const LOG_TAIL_LINES: usize = 40;
const FOLLOW_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the platform may be away before the command stops to wait for the build.
const BEAR_WITH_FOR: Duration = Duration::from_mins(1);

pub(crate) async fn run(options: Deploy, store: &Store, output: &Output) -> Result<(), Failure> {
    let folder = checked_folder(&options.folder)?;
    let name = checked_name(options.name, &folder)?;
    // Before the work: whoever is not signed in learns it at once.
    store.client().await?;

    // Whoever reads JSON is told how it ended, and nothing on the way.
    let progress = Arc::new(if output.is_json() { Progress::silent() } else { Progress::new() });
    let archive = pack(folder, Arc::clone(&progress)).await?;
    let started = upload(&name, archive, store, &progress).await?;
    let deployment = follow(&started.deployment, store, &progress).await?;
    drop(progress);

    if deployment.status == DeploymentStatus::Failed {
        return Err(build_failure(&deployment, store, output).await);
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

/// Waits until the deployment has come to an end, over short absences of the platform, and shows what happens.
async fn follow(
    deployment: &DeploymentBody,
    store: &Store,
    progress: &Progress,
) -> Result<DeploymentBody, Failure> {
    let mut following =
        Following { progress, started: Instant::now(), step: waiting_for(deployment.status), last: None };
    let mut last_seen = Instant::now();
    loop {
        match following.read_on(deployment.id, store).await {
            Ok(Some(ended)) => return Ok(ended),
            Ok(None) => last_seen = Instant::now(),
            Err(failure) if failure.is_unavailable() && last_seen.elapsed() < BEAR_WITH_FOR => {}
            Err(failure) if failure.is_unavailable() => {
                return Err(failure.hint("the build goes on without this command; see: slipway list"));
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
    }
}

/// How far a deployment was followed.
struct Following<'a> {
    progress: &'a Progress,
    started: Instant,
    step: &'static str,
    /// The id of the last line that was shown.
    last: Option<String>,
}

impl Following<'_> {
    /// Shows news until the deployment is over or the connection is.
    async fn read_on(&mut self, id: DeploymentId, store: &Store) -> Result<Option<DeploymentBody>, Failure> {
        let (client, _) = store.client().await?;
        let mut events = client.follow_build_log(id, self.last.as_deref()).await?;
        while let Some(event) = self.until(events.next()).await? {
            let data = event.data.as_bytes();
            match event.name.as_deref() {
                Some("end") => return Ok(Some(read(data)?)),
                Some("status") => self.step = waiting_for(read::<BuildProgress>(data)?.status),
                Some(_) => {}
                None => {
                    self.progress.print(&format!("  | {}", read::<BuildLogLine>(data)?.text));
                    self.last = events.last_id().map(str::to_owned);
                }
            }
        }
        Ok(None)
    }

    /// Shows that time passes until there is an event.
    async fn until<T>(&self, next: impl Future<Output = T>) -> T {
        let mut next = pin!(next);
        loop {
            self.progress.show(self.step, &format!("{} s", self.started.elapsed().as_secs()));
            tokio::select! {
                event = &mut next => return event,
                () = tokio::time::sleep(REDRAW_EVERY) => {}
            }
        }
    }
}

fn waiting_for(status: DeploymentStatus) -> &'static str {
    match status {
        DeploymentStatus::Queued => "waiting for a builder",
        DeploymentStatus::Checking => "starting the first instance",
        _ => "building",
    }
}

fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, Failure> {
    Ok(serde_json::from_slice(data).map_err(std::io::Error::from)?)
}

/// Says what failed, with the end of the log to whoever did not see it come.
async fn build_failure(deployment: &DeploymentBody, store: &Store, output: &Output) -> Failure {
    let cause = deployment.error.as_deref().unwrap_or("no cause is recorded");
    let mut message = format!("version {} could not be built: {cause}", deployment.version);
    if output.is_json()
        && let Ok((client, _)) = store.client().await
        && let Ok(build) = client.build_log(deployment.id).await
    {
        let lines: Vec<_> = build.log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..] {
            message.push('\n');
            message.push_str(line);
        }
    }
    Failure::function(message).hint("the version before, if there was one, stays in service")
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
