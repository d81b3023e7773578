use std::path::PathBuf;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use slipway_kernel::{ErrorCode, FunctionId, UserId};
use slipway_models::functions::FunctionConfigPatch;
use slipway_models::problem::FieldError;
use slipway_web::Problem;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use crate::domain::FunctionName;
use crate::error::FunctionError;
use crate::service::{DeployRequest, Target};

const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// The parts of a deployment's form, as they came.
#[derive(Default)]
struct Parts {
    name: Option<Bytes>,
    function_id: Option<Bytes>,
    config: Option<Bytes>,
    archive: Option<Received>,
}

/// An archive on the disk, and its digest.
struct Received {
    file: NamedTempFile,
    digest: [u8; 32],
}

#[derive(Deserialize)]
struct ConfigPart {
    config: FunctionConfigPatch,
}

/// A deployment's form, and what tells it from another: what an idempotency key stands for.
pub(super) struct Upload {
    pub(super) request: DeployRequest,
    pub(super) fingerprint: Vec<u8>,
}

/// Reads a deployment's form. The archive goes to a file in `directory` as it comes in; past `limit` bytes it is
/// refused.
pub(super) async fn receive(
    mut form: Multipart,
    owner: UserId,
    directory: PathBuf,
    limit: u64,
) -> Result<Upload, Problem> {
    let mut parts = Parts::default();
    while let Some(field) = form.next().await {
        let mut field = field.map_err(unreadable)?;
        let name = field.name().unwrap_or_default().to_owned();
        let is_repeated = match name.as_str() {
            "name" => parts.name.replace(read_text(&mut field, &name).await?).is_some(),
            "function_id" => parts.function_id.replace(read_text(&mut field, &name).await?).is_some(),
            "config" => parts.config.replace(read_text(&mut field, &name).await?).is_some(),
            "archive" if parts.archive.is_some() => true,
            "archive" => {
                parts.archive = Some(read_file(&mut field, directory.clone(), limit).await?);
                false
            }
            _ => {
                let expected = "unknown field: the form takes name or function_id, archive and config";
                return Err(refused(&format!("/{}", name.chars().take(64).collect::<String>()), expected));
            }
        };
        if is_repeated {
            return Err(refused(&format!("/{name}"), "is there twice"));
        }
    }
    parts.into_upload(owner)
}

impl Parts {
    fn into_upload(self, owner: UserId) -> Result<Upload, Problem> {
        let archive = self.archive.ok_or_else(|| refused("/archive", "is missing"))?;
        let mut fingerprint = archive.digest.to_vec();
        for part in [&self.name, &self.function_id, &self.config] {
            fingerprint.extend_from_slice(&Sha256::digest(part.as_deref().unwrap_or_default()));
        }
        let target = match (self.name, self.function_id) {
            (Some(name), None) => {
                let name = FunctionName::try_from(text(&name, "/name")?);
                Target::Name(name.map_err(|fault| refused("/name", &fault.to_string()))?)
            }
            (None, Some(id)) => {
                let id = text(&id, "/function_id")?.parse::<FunctionId>();
                Target::Id(id.map_err(|fault| refused("/function_id", &fault.to_string()))?)
            }
            (None, None) => {
                return Err(refused("/name", "is missing: name the function, or give its function_id"));
            }
            (Some(_), Some(_)) => {
                return Err(refused("/function_id", "is given beside name: one of them will do"));
            }
        };
        let config = self.config.as_deref().map(parse_config).transpose()?.unwrap_or_default();
        Ok(Upload { request: DeployRequest { owner, target, config, archive: archive.file }, fingerprint })
    }
}

async fn read_text(field: &mut Field, name: &str) -> Result<Bytes, Problem> {
    match field.bytes(MAX_TEXT_BYTES).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(fault)) => Err(unreadable(fault)),
        Err(_) => Err(refused(&format!("/{name}"), &format!("must be at most {MAX_TEXT_BYTES} bytes"))),
    }
}

async fn read_file(field: &mut Field, directory: PathBuf, limit: u64) -> Result<Received, Problem> {
    let host = |fault: std::io::Error| Problem::from(FunctionError::Host(fault));
    let made = tokio::task::spawn_blocking(move || NamedTempFile::new_in(directory)).await;
    let (file, path) = made.map_err(FunctionError::Blocking)?.map_err(host)?.into_parts();
    let mut writer = tokio::fs::File::from_std(file);
    let (mut digest, mut received) = (Sha256::new(), 0);
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(unreadable)?;
        received += chunk.len() as u64;
        if received > limit {
            return Err(Problem::body_too_large(limit));
        }
        digest.update(&chunk);
        writer.write_all(&chunk).await.map_err(host)?;
    }
    writer.flush().await.map_err(host)?;
    let file = NamedTempFile::from_parts(writer.into_std().await, path);
    Ok(Received { file, digest: digest.finalize().into() })
}

fn parse_config(json: &[u8]) -> Result<FunctionConfigPatch, Problem> {
    let raw: &RawValue =
        serde_json::from_slice(json).map_err(|fault| refused("/config", &format!("is not JSON: {fault}")))?;
    // Inside an object, so that pointers to faults begin at the form.
    let part: ConfigPart = slipway_web::parse_json(format!(r#"{{"config":{raw}}}"#).as_bytes())?;
    Ok(part.config)
}

fn text(bytes: &[u8], pointer: &str) -> Result<String, Problem> {
    String::from_utf8(bytes.to_vec()).map_err(|_| refused(pointer, "must be UTF-8"))
}

fn refused(pointer: &str, detail: &str) -> Problem {
    Problem::validation(vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }])
}

fn unreadable(fault: MultipartError) -> Problem {
    match fault {
        MultipartError::ContentTypeMissing
        | MultipartError::ContentTypeParse
        | MultipartError::ContentTypeIncompatible
        | MultipartError::BoundaryMissing => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be a form: send it with content-type multipart/form-data",
        ),
        fault => Problem::invalid_request(format!("the form cannot be read: {fault}")),
    }
}
