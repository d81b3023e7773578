use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use containers_api::conn::hyper::Body;
use containers_api::url::encoded_pairs;
use futures_util::{StreamExt, TryStreamExt};
use rustix::process::Resource;
use serde::Deserialize;
use serde_json::json;
use tokio::fs::{self, File};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::create::{CPU_PERIOD, at_most_hard, cpu_quota};
use super::images::past_races;
use super::log_tail::LogTail;
use super::transport::Transport;
use super::{Host, PodmanRuntime, cgroup, disk, images};
use crate::{BuildSpec, ImageId, OnLine, RuntimeError};

/// Bytes of log that a failure carries.
const TAIL: usize = 8 << 10;
/// Bytes of one message of Podman's stream. It sends what a step prints in pieces of at most 32 KiB, which JSON
/// may make six times longer.
const LONGEST_MESSAGE: usize = 1 << 20;
/// Lines that may wait for a slow reader before the build itself waits.
const WAITING_LINES: usize = 64;

static BUILDS: AtomicU64 = AtomicU64::new(0);

/// One message of the stream of a build.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    stream: String,
    error: Option<String>,
}

/// Runs a build in a task of its own, so that giving it up still ends in a clean-up.
pub(super) async fn build_image(
    runtime: &PodmanRuntime,
    spec: &BuildSpec,
    log: &mut OnLine<'_>,
) -> Result<ImageId, RuntimeError> {
    images::check_reference(&spec.tag)?;
    spec.network.as_deref().map_or(Ok(()), check_network)?;
    let host = runtime.host().await?;
    let prefix = cgroup::prefix(&place(&runtime.config.socket))
        .map_err(|error| RuntimeError::Unexpected { what: error.to_string() })?;
    let cgroup = cgroup::name(&prefix, BUILDS.fetch_add(1, Ordering::Relaxed));
    let query = query(spec, host, &cgroup);
    let transport = Transport::new(&runtime.config.socket, runtime.config.request_timeout);

    let given_up = CancellationToken::new();
    let _guard = given_up.clone().drop_guard();
    let (lines, mut received) = mpsc::channel(WAITING_LINES);
    let disk_is_short = disk::is_short(host.storage.clone(), runtime.config.disk_left_free);
    let work = work(transport, spec.clone(), query, cgroup, lines, given_up, disk_is_short);
    let task = tokio::spawn(work.in_current_span());
    while let Some(line) = received.recv().await {
        log(&line);
    }
    task.await.unwrap_or_else(|error| {
        Err(RuntimeError::Unexpected { what: format!("the task of a build ended: {error}") })
    })
}

async fn work(
    transport: Transport,
    spec: BuildSpec,
    query: String,
    cgroup: String,
    lines: mpsc::Sender<String>,
    given_up: CancellationToken,
    disk_is_short: impl Future<Output = RuntimeError>,
) -> Result<ImageId, RuntimeError> {
    let mut is_ended = true;
    let outcome = tokio::select! {
        () = given_up.cancelled() => Err(RuntimeError::Unavailable { cause: "the build was given up".into() }),
        () = sleep(spec.timeout) => {
            Err(RuntimeError::TimedOut { what: "the build", after: spec.timeout })
        }
        fault = disk_is_short => Err(fault),
        outcome = run(&transport, &spec, &query, lines) => {
            // In these, Podman may still be at it.
            is_ended = matches!(
                outcome,
                Err(RuntimeError::Unavailable { .. } | RuntimeError::Unexpected { .. })
            );
            outcome
        }
    };
    // The connection is closed by now, so no further step begins.
    if is_ended {
        cgroup::kill_all(cgroup).await;
    }
    outcome
}

async fn run(
    transport: &Transport,
    spec: &BuildSpec,
    query: &str,
    lines: mpsc::Sender<String>,
) -> Result<ImageId, RuntimeError> {
    past_races(|| attempt(transport, spec, query, &lines)).await
}

async fn attempt(
    transport: &Transport,
    spec: &BuildSpec,
    query: &str,
    lines: &mpsc::Sender<String>,
) -> Result<ImageId, RuntimeError> {
    let context = File::open(&spec.context).await.map_err(|error| RuntimeError::Refused {
        what: format!("the context {}: {error}", spec.context.display()),
    })?;
    let context = Body::wrap_stream(ReaderStream::new(context));
    let answer = transport.post_tar(&format!("/build?{query}"), context).await?;
    let last_line = follow(answer, lines).await?;
    // The stream of a build that was cut short may end like any other; only a finished one ends with its image.
    let image = images::find(transport, &spec.tag).await?;
    if image.0 == last_line {
        Ok(image)
    } else {
        Err(RuntimeError::Unavailable { cause: "the build broke off".into() })
    }
}

/// Passes the log on as it comes. Returns the last line: the image's id, if all went well.
async fn follow(answer: Body, lines: &mpsc::Sender<String>) -> Result<String, RuntimeError> {
    let bytes = StreamReader::new(answer.map_err(io::Error::other));
    let mut messages = FramedRead::new(bytes, LinesCodec::new_with_max_length(LONGEST_MESSAGE));
    let mut tail = LogTail::new(TAIL);
    let mut last = String::new();
    while let Some(message) = messages.next().await {
        let message = parse(message)?;
        for line in message.stream.lines() {
            tail.push(line);
            line.clone_into(&mut last);
            // A reader that is gone has given the build up, and ends it by that.
            let _ = lines.send(last.clone()).await;
        }
        if let Some(error) = message.error {
            return Err(RuntimeError::BuildFailed {
                message: error.trim_end().to_owned(),
                log_tail: tail.into_text(),
            });
        }
    }
    Ok(last)
}

fn parse(message: Result<String, LinesCodecError>) -> Result<Message, RuntimeError> {
    let text = message
        .map_err(|error| RuntimeError::Unavailable { cause: format!("the build broke off: {error}") })?;
    serde_json::from_str(&text)
        .map_err(|error| RuntimeError::Unexpected { what: format!("in the log of a build: {error}") })
}

/// Podman takes some words for namespaces of other containers, or of the host.
fn check_network(name: &str) -> Result<(), RuntimeError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let reserved = ["host", "none", "private", "default", "container", "ns", "pod"];
    if !name.is_empty() && name.bytes().all(good) && !reserved.contains(&name) {
        Ok(())
    } else {
        Err(RuntimeError::Refused { what: format!("{name:?} is no name of a bridge network") })
    }
}

/// The parameters of Podman's build. Without `nsoptions` it runs on the host's network, whatever `networkmode` says.
fn query(spec: &BuildSpec, host: &Host, cgroup: &str) -> String {
    let limits = &spec.limits;
    let namespace = |name: &str, path: &str| json!({ "Name": name, "Host": false, "Path": path });
    let limit = |name: &str, value: u64| format!("{name}={value}:{value}");
    let cgroup_parent = if host.systemd_cgroups { format!("{cgroup}.slice") } else { format!("/{cgroup}") };
    encoded_pairs([
        ("t", spec.tag.clone()),
        ("dockerfile", spec.containerfile.clone()),
        ("labels", json!(spec.labels).to_string()),
        ("buildargs", json!(spec.build_args).to_string()),
        ("pullpolicy", "never".into()),
        ("layers", "true".into()),
        ("rm", "true".into()),
        ("forcerm", "true".into()),
        ("httpproxy", "false".into()),
        ("isolation", "oci".into()),
        ("dropcaps", json!(["ALL"]).to_string()),
        (
            "nsoptions",
            json!([
                namespace("network", spec.network.as_deref().unwrap_or_default()),
                namespace("pid", ""),
                namespace("ipc", ""),
                namespace("uts", ""),
                namespace("cgroup", ""),
            ])
            .to_string(),
        ),
        (
            "ulimits",
            json!([
                limit("nofile", at_most_hard(Resource::Nofile, limits.open_files)),
                limit("nproc", at_most_hard(Resource::Nproc, limits.processes)),
                limit("core", 0),
            ])
            .to_string(),
        ),
        ("memory", limits.memory.to_string()),
        ("memswap", limits.memory.to_string()),
        ("cpuquota", cpu_quota(limits.cpu_millis).to_string()),
        ("cpuperiod", CPU_PERIOD.to_string()),
        ("cgroupparent", cgroup_parent),
    ])
}

/// What the cgroups of all builds on this socket begin with.
fn place(socket: &Path) -> String {
    let mut hash = DefaultHasher::new();
    socket.hash(&mut hash);
    format!("slipway_build_{:016x}_", hash.finish())
}

/// A container as Podman lists it, those of builds among them.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "State")]
    state: String,
    #[serde(rename = "Created")]
    created: DateTime<Utc>,
}

/// Several processes may share a service, so only what is surely dead is touched: cgroups whose process is gone, and
/// what is older than the socket. The service that made those ended with its builds.
pub(super) async fn remove_abandoned(runtime: &PodmanRuntime) -> Result<usize, RuntimeError> {
    for prefix in cgroup::abandoned(&place(&runtime.config.socket)) {
        cgroup::kill_all(prefix).await;
    }
    let since = changed(&runtime.config.socket)
        .await
        .map_err(|error| RuntimeError::Unavailable { cause: error.to_string() })?;
    let transport = &runtime.transport;
    let listed: Vec<Listed> = transport.get("/containers/json?all=true&external=true").await?;
    let mut removed = 0;
    let dead = |container: &&Listed| container.state == "storage" && container.created < since;
    for container in listed.iter().filter(dead) {
        let container = transport.api().containers().get(container.id.as_str());
        match transport.request(container.remove()).await {
            Ok(()) => removed += 1,
            Err(RuntimeError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(directory) = &runtime.host().await?.build_files {
        remove_build_files(directory, since).await;
    }
    Ok(removed)
}

async fn changed(path: &Path) -> io::Result<DateTime<Utc>> {
    Ok(fs::metadata(path).await?.modified()?.into())
}

/// Removes the unpacked contexts and the run-time files of builds that were killed with Podman.
async fn remove_build_files(directory: &Path, since: DateTime<Utc>) {
    let Ok(mut entries) = fs::read_dir(directory).await else {
        return;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if (name.starts_with("libpod_builder") || name.starts_with("buildah"))
            && changed(&entry.path()).await.is_ok_and(|changed| changed < since)
            && let Err(error) = fs::remove_dir_all(entry.path()).await
        {
            tracing::warn!(%error, path = %entry.path().display(), "cannot remove files of a build");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_network;

    #[test]
    fn a_build_never_gets_the_network_of_the_host() {
        assert_eq!(check_network("slipway-build"), Ok(()));
        for bad in ["", "host", "none", "container:abc", "ns:/proc/1/ns/net", "a b"] {
            assert!(check_network(bad).is_err(), "{bad:?}");
        }
    }
}
