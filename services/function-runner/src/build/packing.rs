//! An image, packed of files by Podman.

use std::path::PathBuf;

use slipway_runtime::{BuildLimits, BuildSpec, Labels, RuntimeError};
use tracing::Span;

use super::Workspace;
use super::images::{ATTEMPTS, Images, PAUSE};
use super::source::{self, Selection};
use crate::error::FunctionError;

/// What an image's build may use: it copies files and runs nothing.
const COPYING: BuildLimits =
    BuildLimits { memory: 512 << 20, cpu_millis: 2_000, processes: 64, open_files: 1_024 };

impl Images {
    /// Has Podman build an image that is another and the files below `root`. It copies files and runs nothing, so what
    /// fails here is no fault of the owner's, and may be tried again.
    pub(super) async fn build(
        &self,
        image: &str,
        containerfile: &str,
        root: PathBuf,
        selection: Selection,
        workspace: &Workspace,
    ) -> Result<(), FunctionError> {
        let (context, containerfile) = (workspace.context(), containerfile.to_owned());
        let spec = self.spec(image, context.clone());
        let write = move || source::write_context(&root, selection, &containerfile, &context);
        slipway_telemetry::spawn_blocking(Span::current(), write).await??;
        for attempt in 1.. {
            match self.runtime.build_image(&spec, &mut |line| tracing::debug!(line, "podman")).await {
                Err(fault) if attempt < ATTEMPTS && may_pass(&fault) => {
                    tracing::warn!(error = %fault, image, attempt, "an image was not packed: trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        Ok(())
    }

    fn spec(&self, image: &str, context: PathBuf) -> BuildSpec {
        BuildSpec {
            context,
            containerfile: "Containerfile".to_owned(),
            tag: image.to_owned(),
            // The Containerfile's own: those given here would each be a step more.
            labels: Labels::new(),
            build_args: Labels::new(),
            network: None,
            limits: COPYING,
            timeout: self.settings.timeout,
        }
    }
}

/// Tells whether Podman may do better the next time: it loses races against itself.
fn may_pass(fault: &RuntimeError) -> bool {
    matches!(
        fault,
        RuntimeError::Unavailable { .. }
            | RuntimeError::Refused { .. }
            | RuntimeError::BuildFailed { .. }
            | RuntimeError::Unexpected { .. }
    )
}
