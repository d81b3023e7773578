use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use slipway_db::Database;
use slipway_kernel::UserId;
use slipway_models::functions::Runtime;
use slipway_runtime::{ContainerRuntime, Labels, RuntimeError};
use tokio::sync::Mutex;
use tracing::Span;

use super::bundles::WARM_RUNTIMES;
use super::dependency_cache::{CacheLimits, DependencyCache};
use super::install::{InstallSettings, Installer};
use super::recipe::{Installation, containerfile};
use super::source::{self, Selection};
use super::{Bundles, LogTail, Workspace};
use crate::archive::{self, ArchiveError};
use crate::error::FunctionError;
use crate::project::Project;
use crate::runner_id::RunnerId;
use crate::store;

/// Marks the base images that scripts/build-runtimes makes.
const RUNTIME_LABEL: &str = "dev.slipway.runtime";
/// Keeps the cached steps of one owner's builds from another's.
const OWNER_LABEL: &str = "dev.slipway.owner";
/// The most files, and directories, that an installation may leave.
const MAX_OUTPUT_FILES: usize = 200_000;
pub(super) const ATTEMPTS: u32 = 3;
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// How images are built.
#[derive(Debug, Clone)]
pub(crate) struct BuildSettings {
    /// What the names of images begin with.
    pub(crate) prefix: String,
    /// How dependencies are installed.
    pub(crate) install: InstallSettings,
    /// How long what was installed is kept for the next build.
    pub(crate) cache: CacheLimits,
    /// Where it is noted what was used when.
    pub(crate) cache_directory: PathBuf,
    /// The most bytes of the files that are kept beside images.
    pub(crate) bundles_bytes: u64,
    /// How long a build may take.
    pub(crate) timeout: Duration,
    /// Whether nobody else builds in this Podman's storage: then what lies there at a start is this runner's own.
    pub(crate) owns_storage: bool,
}

/// The images of functions. One is named by its owner and the digest of all that it is made of, so the same archive is
/// built once, and no owner can name another's.
pub(crate) struct Images {
    pub(super) runtime: Arc<dyn ContainerRuntime>,
    database: Database,
    runner: RunnerId,
    pub(super) settings: BuildSettings,
    bundles: Arc<Bundles>,
    installer: Installer,
    cache: Arc<DependencyCache>,
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
        let installer = Installer::new(Arc::clone(&runtime), runner.clone(), settings.install.clone());
        let cache = Arc::new(DependencyCache::new(settings.cache_directory.clone(), settings.cache));
        Self { runtime, database, runner, settings, bundles, installer, cache, removal: Mutex::default() }
    }

    /// Returns the name of the image that a project of `owner` makes, on the base images that there are now.
    pub(crate) async fn name(
        &self,
        owner: UserId,
        project: &Project,
        source: PathBuf,
    ) -> Result<String, FunctionError> {
        let recipe = self.recipe(owner, project, source.clone()).await?;
        let salt = format!("{:?}", recipe.installation.as_ref().map(|installation| &installation.command));
        let work = move || {
            source::digest(
                &source,
                Selection::All,
                &[&recipe.base_id, &recipe.build_base_id, &recipe.label, &salt],
            )
        };
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
            self.make(image, owner, project, workspace, log).await?;
        }
        if WARM_RUNTIMES.contains(&project.runtime) {
            self.keep_bundle(image, owner, project, workspace).await?;
        }
        Ok(())
    }

    async fn make(
        &self,
        image: &str,
        owner: UserId,
        project: &Project,
        workspace: &Workspace,
        log: &LogTail,
    ) -> Result<(), FunctionError> {
        let recipe = self.recipe(owner, project, workspace.source()).await?;
        let (base, selection) = match &recipe.installation {
            None => (self.base_name(project.runtime, ""), Selection::All),
            Some(installation) => {
                let installed =
                    self.dependencies(owner, project.runtime, &recipe, installation, workspace, log);
                (installed.await?, Selection::Without(installation.output))
            }
        };
        log.push("packing the image");
        self.build(image, &containerfile(&base, &recipe.label), workspace.source(), selection, workspace)
            .await
    }

    /// Returns the name of an image that is the plain runtime and a project's dependencies, after making it unless it
    /// is there.
    async fn dependencies(
        &self,
        owner: UserId,
        runtime: Runtime,
        recipe: &Recipe,
        installation: &Installation,
        workspace: &Workspace,
        log: &LogTail,
    ) -> Result<String, FunctionError> {
        let (files, inputs) = (workspace.files(), installation.inputs);
        let name = self.dependencies_name(owner, recipe, installation, workspace).await?;
        let (cache, used) = (Arc::clone(&self.cache), name.clone());
        slipway_telemetry::spawn_blocking(Span::current(), move || cache.touch(&used)).await??;
        if self.exists(&name).await? {
            log.push("the same dependencies were installed before: they are taken");
            return Ok(name);
        }
        let (root, target) = (workspace.source(), files.clone());
        let write = move || source::write_files(&root, inputs, &target);
        slipway_telemetry::spawn_blocking(Span::current(), write).await??;
        let (build_base, output) = (self.base_name(runtime, "-build"), workspace.output());
        tokio::time::timeout(
            self.settings.timeout,
            self.installer.install(&build_base, installation, &files, &output, log),
        )
        .await
        .map_err(|_| RuntimeError::TimedOut {
            what: "installing the dependencies",
            after: self.settings.timeout,
        })?
        .map_err(|fault| named(runtime, fault))?;
        let (installed, limits) = (workspace.installed(), self.output_limits());
        let unpack = {
            let installed = installed.clone();
            move || unpack_output(&output, &installed, &limits)
        };
        slipway_telemetry::spawn_blocking(Span::current(), unpack).await??;
        let text = containerfile(&self.base_name(runtime, ""), &recipe.label);
        self.build(&name, &text, installed.clone(), Selection::All, workspace).await?;
        if WARM_RUNTIMES.contains(&runtime) {
            let base = recipe.base_id.clone();
            self.keep(&name, move |bundles, image| {
                bundles.keep(image, &base, &[(installed, Selection::All)])
            })
            .await;
        }
        Ok(name)
    }

    /// Names an image that is the plain runtime and a project's dependencies.
    async fn dependencies_name(
        &self,
        owner: UserId,
        recipe: &Recipe,
        installation: &Installation,
        workspace: &Workspace,
    ) -> Result<String, FunctionError> {
        let (root, inputs) = (workspace.source(), installation.inputs);
        let salt =
            [&recipe.base_id, &recipe.build_base_id, &recipe.label, &installation.command].map(String::clone);
        let digest = move || source::digest(&root, inputs, &salt.each_ref().map(String::as_str));
        let digest = slipway_telemetry::spawn_blocking(Span::current(), digest).await??;
        Ok(format!("{}{}-{digest}", self.dependencies_prefix(), short_digest(owner)))
    }

    /// Removes what builds left behind that were going on when this process or Podman was killed. For the start alone.
    /// Podman does not say whose its own builds are, so in a storage that is shared they are left to its administrator.
    pub(crate) async fn remove_abandoned_builds(&self) -> Result<(), FunctionError> {
        self.remove_unknown_installations().await?;
        if !self.settings.owns_storage {
            return Ok(());
        }
        let removed = self.runtime.remove_abandoned_builds().await?;
        if removed > 0 {
            tracing::info!(builds.removed = removed, "removed what abandoned builds had left");
        }
        Ok(())
    }

    /// Removes the containers of installations that nobody waits for any more.
    pub(crate) async fn remove_unknown_installations(&self) -> Result<(), FunctionError> {
        self.installer.remove_unknown().await
    }

    /// Waits until what was given up is removed. For the end.
    pub(crate) async fn settle(&self) {
        self.installer.settle().await;
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

    /// Removes every image of this runner that no deployment names, what is stale of installed dependencies, and the
    /// cached steps of builds.
    pub(crate) async fn sweep(&self, now: SystemTime) -> Result<(), FunctionError> {
        let labels = Labels::from([(RunnerId::LABEL.to_owned(), self.runner.to_string())]);
        let tags = self.runtime.list_images(&labels).await?.into_iter().flat_map(|image| image.tags);
        let images: BTreeSet<_> = tags.chain(self.bundles.images()).collect();
        let prefix = self.dependencies_prefix();
        let (installed, functions) = images.into_iter().partition(|image| image.starts_with(&prefix));
        self.remove_unnamed(functions).await;
        let cache = Arc::clone(&self.cache);
        let find = move || cache.take_stale(installed, now);
        for image in slipway_telemetry::spawn_blocking(Span::current(), find).await? {
            self.remove(image).await?;
        }
        let (bundles, most) = (Arc::clone(&self.bundles), self.settings.bundles_bytes);
        slipway_telemetry::spawn_blocking(Span::current(), move || bundles.trim(most)).await??;
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
            self.remove(image).await?;
        }
        Ok(())
    }

    /// Removes an image and what is kept beside it.
    async fn remove(&self, image: String) -> Result<(), FunctionError> {
        self.runtime.remove_image(&image).await?;
        let bundles = Arc::clone(&self.bundles);
        Ok(slipway_telemetry::spawn_blocking(Span::current(), move || bundles.remove(&image)).await??)
    }

    async fn base_image_id(&self, runtime: Runtime, suffix: &str) -> Result<String, FunctionError> {
        let name = self.base_name(runtime, suffix);
        let found = base_image_id(&*self.runtime, runtime, &name).await?;
        found.ok_or(FunctionError::NoBaseImage(name))
    }

    /// Keeps what an image adds to the plain runtime.
    async fn keep_bundle(
        &self,
        image: &str,
        owner: UserId,
        project: &Project,
        workspace: &Workspace,
    ) -> Result<(), FunctionError> {
        let recipe = self.recipe(owner, project, workspace.source()).await?;
        let (selection, dependencies) = match &recipe.installation {
            None => (Selection::All, None),
            Some(installation) => {
                let name = self.dependencies_name(owner, &recipe, installation, workspace).await?;
                (Selection::Without(installation.output), Some(name))
            }
        };
        let source = workspace.source();
        self.keep(image, move |bundles, image| {
            let mut parts = vec![(source, selection)];
            match dependencies.map(|name| bundles.files(&name)).transpose() {
                Ok(installed) => parts.extend(installed.map(|files| (files, Selection::All))),
                // Too many, or not used for long.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(fault) => return Err(fault),
            }
            bundles.keep(image, &recipe.base_id, &parts)
        })
        .await;
        Ok(())
    }

    /// Has files kept beside an image. Without them instances start more slowly, and that is all.
    async fn keep(&self, image: &str, keep: impl FnOnce(&Bundles, &str) -> io::Result<()> + Send + 'static) {
        let (bundles, name) = (Arc::clone(&self.bundles), image.to_owned());
        let kept = slipway_telemetry::spawn_blocking(Span::current(), move || keep(&bundles, &name)).await;
        if let Err(error) = kept.map_err(io::Error::from).flatten() {
            tracing::warn!(%error, image, "the files of a version were not kept beside its image");
        }
    }

    fn dependencies_prefix(&self) -> String {
        format!("{}dependencies:", self.settings.prefix)
    }

    fn base_name(&self, runtime: Runtime, suffix: &str) -> String {
        format!("{}{runtime}{suffix}:latest", self.settings.prefix)
    }

    /// Finds out what makes an image of a project now.
    async fn recipe(&self, owner: UserId, project: &Project, root: PathBuf) -> Result<Recipe, FunctionError> {
        let read = {
            let project = project.clone();
            move || Installation::of(&project, &root)
        };
        let installation = slipway_telemetry::spawn_blocking(Span::current(), read).await?;
        let base_id = self.base_image_id(project.runtime, "").await?;
        let build_base_id = match installation {
            Some(_) => self.base_image_id(project.runtime, "-build").await?,
            None => String::new(),
        };
        let label =
            format!("LABEL {OWNER_LABEL}={} {}={}", short_digest(owner), RunnerId::LABEL, self.runner);
        Ok(Recipe { installation, base_id, build_base_id, label })
    }

    fn output_limits(&self) -> archive::Limits {
        archive::Limits {
            files: MAX_OUTPUT_FILES,
            unpacked_bytes: self.settings.install.output_bytes,
            ..archive::Limits::default()
        }
    }
}

/// Returns the id of the image that a plain runtime has now under its `name`.
pub(crate) async fn base_image_id(
    containers: &dyn ContainerRuntime,
    runtime: Runtime,
    name: &str,
) -> Result<Option<String>, RuntimeError> {
    let found = containers.find_image(name).await?;
    let is_base = |labels: &Labels| labels.get(RUNTIME_LABEL).is_some_and(|of| *of == runtime.to_string());
    Ok(found.filter(|image| is_base(&image.labels)).map(|image| image.id.to_string()))
}

/// What an image of a project is made of, besides its files.
struct Recipe {
    installation: Option<Installation>,
    /// The ids of the plain runtime's image, and of the one that installs (empty where nothing is installed).
    base_id: String,
    build_base_id: String,
    /// The instruction that keeps the cached steps of owners apart.
    label: String,
}

/// Unpacks what an installation made, which may be nothing, by the rules for archives of strangers.
fn unpack_output(tar: &Path, target: &Path, limits: &archive::Limits) -> Result<(), FunctionError> {
    if target.exists() {
        // Of an attempt that a restart ended.
        std::fs::remove_dir_all(target)?;
    }
    std::fs::create_dir(target)?;
    let outcome = archive::unpack_tar(File::open(tar)?, target, limits);
    // Both lie in the workspace while the image is built.
    std::fs::remove_file(tar)?;
    match outcome {
        Ok(()) | Err(ArchiveError::Empty) => Ok(()),
        Err(ArchiveError::Host(cause)) => Err(cause.into()),
        Err(fault) => Err(FunctionError::InstallFailed(format!("what they leave cannot be used: {fault}"))),
    }
}

/// Says of a program that is compiled with its dependencies what it is that failed.
fn named(runtime: Runtime, fault: FunctionError) -> FunctionError {
    match fault {
        FunctionError::InstallFailed(reason) if runtime == Runtime::Dart => {
            FunctionError::CompileFailed(reason)
        }
        fault => fault,
    }
}

/// Names an owner in images without telling who it is.
fn short_digest(owner: UserId) -> String {
    let digest = Sha256::digest(owner.as_uuid().as_bytes());
    hex::encode(digest.get(..8).unwrap_or_default())
}
