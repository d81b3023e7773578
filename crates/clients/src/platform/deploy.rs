use std::fs::File;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use slipway_kernel::FunctionId;
use slipway_models::functions::{DeployAnswer, FunctionConfigPatch};
use tokio_util::io::ReaderStream;

use super::Client;
use crate::ClientError;

/// Long enough for the largest archive over a slow line.
const UPLOAD_WITHIN: Duration = Duration::from_mins(15);

/// What is deployed.
#[derive(Debug)]
pub struct Deploy<'a> {
    /// The function.
    pub target: DeployTarget<'a>,
    /// A zip or tar.gz on disk, open at its start. It needs no name: an unlinked file leaves nothing behind.
    pub archive: File,
    /// How the function runs from now on; what is absent stays.
    pub config: Option<&'a FunctionConfigPatch>,
}

/// The function of a deployment.
#[derive(Debug, Clone, Copy)]
pub enum DeployTarget<'a> {
    /// The caller's function of this name, which is made if there is none.
    Name(&'a str),
    /// A function that exists.
    Id(FunctionId),
}

impl Client {
    /// Uploads a new version and returns while it is being built. The archive is streamed from disk; `progress` is
    /// told how many bytes of it have gone out, each time some have.
    pub async fn deploy(
        &self,
        deploy: Deploy<'_>,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<DeployAnswer, ClientError> {
        let file = tokio::fs::File::from_std(deploy.archive);
        let size = file.metadata().await?.len();
        let mut sent = 0;
        let chunks = ReaderStream::new(file).inspect_ok(move |chunk| {
            sent += chunk.len() as u64;
            progress(sent);
        });
        let archive = Part::stream_with_length(Body::wrap_stream(chunks), size).file_name("archive");
        let form = match deploy.target {
            DeployTarget::Name(name) => Form::new().text("name", name.to_owned()),
            DeployTarget::Id(id) => Form::new().text("function_id", id.to_string()),
        };
        let form = match deploy.config {
            Some(config) => form.part("config", config_part(config)?),
            None => form,
        };
        let request =
            self.request(Method::POST, "/functions/deploy").multipart(form.part("archive", archive));
        self.http.json(request.timeout(UPLOAD_WITHIN)).await
    }
}

fn config_part(config: &FunctionConfigPatch) -> Result<Part, ClientError> {
    let json = serde_json::to_string(config).map_err(std::io::Error::from)?;
    Ok(Part::text(json).mime_str("application/json")?)
}
