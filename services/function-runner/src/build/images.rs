use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use slipway_db::Database;
use slipway_kernel::UserId;
use slipway_models::functions::Runtime;
use slipway_runtime::{BuildLimits, BuildSpec, ContainerRuntime, Labels, RuntimeError};
use tokio::sync::Mutex;
use tracing::Span;

use super::containerfile::containerfile;
use super::{Bundles, LogTail, Workspace, source};
use crate::error::FunctionError;
use crate::project::{Dependencies, Project};
use crate::runner_id::RunnerId;
use crate::store;

/// Marks the base images that scripts/build-runtimes makes.
const RUNTIME_LABEL: &str = "dev.slipway.runtime";
/// Keeps the cached steps of one owner's builds from another's.
const OWNER_LABEL: &str = "dev.slipway.owner";
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// How images are built.
#[derive(Debug, Clone)]
pub(crate) struct BuildSettings {
    /// What the names of images begin with.
    pub(crate) prefix: String,
    /// The bridge network of builds; Podman's default one where it is not named.
    pub(crate) network: Option<String>,
    /// What each step of a build may use.
    pub(crate) limits: BuildLimits,
    /// How long a build may take.
    pub(crate) timeout: Duration,
    /// Whether nobody else builds in this Podman's storage: then what lies there at a start is this runner's own.
    pub(crate) owns_storage: bool,
}

/// The images of functions. One is named by its owner and the digest of all that it is made of, so the same archive is
/// built once, and no owner can name another's.
pub(crate) struct Images {
    runtime: Arc<dyn ContainerRuntime>,
    database: Database,
    runner: RunnerId,
    settings: BuildSettings,
    bundles: Arc<Bundles>,
    /// Held from asking whether an image is still named to removing it, and while asking whether it is there.
    removal: Mutex<()>,
}

impl Images {
    pub(crate) fn new(
        runtime: Arc<dyn ContainerRuntime>,
        database: Database,
        runner: RunnerId,
        settings: BuildSettings,
        bundles: Arc<Bundles>,
    ) -> Self {
        Self { runtime, database, runner, settings, bundles, removal: Mutex::default() }
    }

    /// Returns the name of the image that a project of `owner` makes, on the base images that there are now.
    pub(crate) async fn name(
        &self,
        owner: UserId,
        project: &Project,
        source: PathBuf,
    ) -> Result<String, FunctionError> {
        let base = self.base_image_id(project.runtime, "").await?;
        let build_base = self.base_image_id(project.runtime, "-build").await?;
        let recipe = self.containerfile(owner, project);
        let work = move || source::digest(&source, &[&base, &build_base, &recipe]);
        let digest = slipway_telemetry::spawn_blocking(Span::current(), work).await??;
        Ok(format!("{}function:{}-{digest}", self.settings.prefix, short_digest(owner)))
    }

    /// Builds `image` of what lies in `workspace`, unless it is there.
    pub(crate) async fn ensure(
        &self,
        image: &str,
        owner: UserId,
        project: &Project,
        workspace: &Workspace,
        log: &LogTail,
    ) -> Result<(), FunctionError> {
        if self.exists(image).await? {
            log.push("the same files were built before: that image is taken");
        } else {
            self.build(image, owner, project, workspace, log).await?;
        }
        self.keep_bundle(image, project, workspace).await;
        Ok(())
    }

    async fn build(
        &self,
        image: &str,
        owner: UserId,
        project: &Project,
        workspace: &Workspace,
        log: &LogTail,
    ) -> Result<(), FunctionError> {
        let (root, context) = (workspace.source(), workspace.context());
        let recipe = self.containerfile(owner, project);
        let spec = self.spec(image, context.clone());
        let write = move || source::write_context(&root, &recipe, &context);
        slipway_telemetry::spawn_blocking(Span::current(), write).await??;
        for attempt in 1.. {
            match self.runtime.build_image(&spec, &mut |line| log.push(line)).await {
                Err(RuntimeError::Unavailable { cause }) if attempt < ATTEMPTS => {
                    log.push(&format!("the container runtime is unavailable ({cause}): trying again"));
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        Ok(())
    }

    /// Removes what builds left behind that were going on when this process or Podman was killed. For the start alone.
    /// Podman does not say whose they are, so in a storage that is shared they are left to its administrator.
    pub(crate) async fn remove_abandoned_builds(&self) -> Result<(), FunctionError> {
        if !self.settings.owns_storage {
            return Ok(());
        }
        let removed = self.runtime.remove_abandoned_builds().await?;
        if removed > 0 {
            tracing::info!(builds.removed = removed, "removed what abandoned builds had left");
        }
        Ok(())
    }

    /// Removes those of `images` that no deployment names any more. What cannot be removed now is left to
    /// [`Images::sweep`].
    pub(crate) async fn remove_unnamed(&self, images: Vec<String>) {
        for image in images {
            let mut attempt = 1;
            while let Err(fault) = self.remove_if_unnamed(image.clone()).await {
                // An instance that was told to go may still be going.
                let is_in_use = matches!(fault, FunctionError::Runtime(RuntimeError::Refused { .. }));
                if !is_in_use || attempt == ATTEMPTS {
                    tracing::warn!(error = %fault, image, "an image was not removed");
                    break;
                }
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Removes every image of this runner that no deployment names, and the cached steps of builds.
    pub(crate) async fn sweep(&self) -> Result<(), FunctionError> {
        let labels = Labels::from([(RunnerId::LABEL.to_owned(), self.runner.to_string())]);
        let images = self.runtime.list_images(&labels).await?;
        let tags = images.into_iter().flat_map(|image| image.tags);
        self.remove_unnamed(tags.chain(self.bundles.images()).collect()).await;
        self.runtime.prune_dangling(&labels).await?;
        Ok(())
    }

    /// Tells whether the host has an image.
    pub(crate) async fn exists(&self, image: &str) -> Result<bool, RuntimeError> {
        let _held = self.removal.lock().await;
        self.runtime.image_exists(image).await
    }

    async fn remove_if_unnamed(&self, image: String) -> Result<(), FunctionError> {
        let _held = self.removal.lock().await;
        let asked = image.clone();
        let is_named = self
            .database
            .run("image.is_named", move |connection| store::deployments::is_image_named(connection, &asked))
            .await?;
        if !is_named {
            self.runtime.remove_image(&image).await?;
            let bundles = Arc::clone(&self.bundles);
            slipway_telemetry::spawn_blocking(Span::current(), move || bundles.remove(&image)).await??;
        }
        Ok(())
    }

    async fn base_image_id(&self, runtime: Runtime, suffix: &str) -> Result<String, FunctionError> {
        let name = format!("{}{runtime}{suffix}:latest", self.settings.prefix);
        let found = base_image_id(&*self.runtime, runtime, &name).await?;
        found.ok_or(FunctionError::NoBaseImage(name))
    }

    /// Keeps what an image adds to the plain runtime. Without it instances start more slowly, and that is all.
    async fn keep_bundle(&self, image: &str, project: &Project, workspace: &Workspace) {
        if project.dependencies != Dependencies::None {
            return;
        }
        let kept = async {
            let base = self.base_image_id(project.runtime, "").await?;
            let (bundles, image, source) = (Arc::clone(&self.bundles), image.to_owned(), workspace.source());
            let keep = move || bundles.keep(&image, &base, &source);
            Ok::<_, FunctionError>(slipway_telemetry::spawn_blocking(Span::current(), keep).await??)
        };
        if let Err(fault) = kept.await {
            tracing::warn!(error = %fault, image, "the files of a version were not kept beside its image");
        }
    }

    fn containerfile(&self, owner: UserId, project: &Project) -> String {
        let label =
            format!("LABEL {OWNER_LABEL}={} {}={}", short_digest(owner), RunnerId::LABEL, self.runner);
        containerfile(&self.settings.prefix, &label, project.runtime, project.dependencies)
    }

    fn spec(&self, image: &str, context: PathBuf) -> BuildSpec {
        BuildSpec {
            context,
            containerfile: "Containerfile".to_owned(),
            tag: image.to_owned(),
            // The Containerfile's own: those given here would each be a step more.
            labels: Labels::new(),
            build_args: Labels::new(),
            network: self.settings.network.clone(),
            limits: self.settings.limits,
            timeout: self.settings.timeout,
        }
    }
}

/// Returns the id of the image that a plain runtime has now under its `name`.
pub(crate) async fn base_image_id(
    containers: &dyn ContainerRuntime,
    runtime: Runtime,
    name: &str,
) -> Result<Option<String>, RuntimeError> {
    let labels = Labels::from([(RUNTIME_LABEL.to_owned(), runtime.to_string())]);
    let images = containers.list_images(&labels).await?;
    let found = images.into_iter().find(|image| image.tags.iter().any(|tag| tag == name));
    Ok(found.map(|image| image.id.to_string()))
}

/// Names an owner in images without telling who it is.
fn short_digest(owner: UserId) -> String {
    let digest = Sha256::digest(owner.as_uuid().as_bytes());
    hex::encode(digest.get(..8).unwrap_or_default())
}
