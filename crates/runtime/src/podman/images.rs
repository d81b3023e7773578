use std::time::Duration;

use podman_api::api::Image;
use podman_api::opts::{ImageListFilter, ImageListOpts, ImagePruneFilter, ImagePruneOpts};
use tokio::time::sleep;

use super::transport::Transport;
use crate::{ImageId, ImageSummary, Labels, RuntimeError};

/// How often a request is tried that lost a race inside Podman.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn exists(transport: &Transport, reference: &str) -> Result<bool, RuntimeError> {
    let image = image(transport, reference)?;
    transport.request(image.exists()).await
}

/// The image that a tag names.
pub(super) async fn find_tagged(
    transport: &Transport,
    reference: &str,
) -> Result<Option<ImageSummary>, RuntimeError> {
    let image = image(transport, reference)?;
    let found = match past_races(|| transport.request(image.inspect())).await {
        Ok(found) => found,
        Err(RuntimeError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let unexpected =
        |what: &str| RuntimeError::Unexpected { what: format!("no {what} of image {reference}") };
    Ok(Some(ImageSummary {
        id: found.id.map(ImageId).ok_or_else(|| unexpected("id"))?,
        tags: found.repo_tags.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        size: found.size.and_then(|size| size.try_into().ok()).ok_or_else(|| unexpected("size"))?,
    }))
}

/// The id of the image that a reference names.
pub(super) async fn find(transport: &Transport, reference: &str) -> Result<ImageId, RuntimeError> {
    let image = image(transport, reference)?;
    let found = transport.request(image.inspect()).await?;
    found
        .id
        .map(ImageId)
        .ok_or_else(|| RuntimeError::Unexpected { what: format!("no id of image {reference}") })
}

pub(super) async fn remove(transport: &Transport, reference: &str) -> Result<bool, RuntimeError> {
    if !exists(transport, reference).await? {
        return Ok(false);
    }
    let image = image(transport, reference)?;
    match past_races(|| transport.request(image.delete())).await {
        // Gone by an attempt whose answer was another, or by somebody else.
        Ok(()) | Err(RuntimeError::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether Podman failed because another request removed an image, its data or a layer that it was going through, or
/// was about to build on. Nobody names a layer or data, so what is missing of them is always such a race.
fn is_race(error: &RuntimeError) -> bool {
    let (RuntimeError::Refused { what } | RuntimeError::BuildFailed { message: what, .. }) = error else {
        return false;
    };
    let listing = ["reading image", "top layer info", "locating image with ID", "committing"];
    what.ends_with("layer not known")
        || what.ends_with("size is not known")
        || (what.ends_with("image not known") && listing.iter().any(|part| what.contains(part)))
}

/// Tries again what lost a race inside Podman, and may be done twice.
pub(super) async fn past_races<T, F>(request: impl Fn() -> F) -> Result<T, RuntimeError>
where
    F: Future<Output = Result<T, RuntimeError>>,
{
    let mut attempts = 1;
    loop {
        match request().await {
            Err(error) if attempts < ATTEMPTS && is_race(&error) => {
                sleep(PAUSE * attempts).await;
                attempts += 1;
            }
            outcome => return outcome,
        }
    }
}

pub(super) async fn list(transport: &Transport, labels: &Labels) -> Result<Vec<ImageSummary>, RuntimeError> {
    let filters = labels
        .iter()
        .map(|(key, value)| ImageListFilter::LabelKeyVal(key.clone(), value.clone()))
        .chain([ImageListFilter::Dangling(false)]);
    let options = ImageListOpts::builder().filter(filters).build();
    let images = transport.api().images();
    let found = past_races(|| transport.request(images.list(&options))).await?;
    let summaries = found.into_iter().filter_map(|image| {
        Some(ImageSummary {
            id: ImageId(image.id?),
            tags: image.repo_tags.unwrap_or_default(),
            labels: image.labels.unwrap_or_default().into_iter().collect(),
            size: image.size.and_then(|size| size.try_into().ok())?,
        })
    });
    Ok(summaries.collect())
}

pub(super) async fn prune_dangling(transport: &Transport, labels: &Labels) -> Result<usize, RuntimeError> {
    let filters = labels
        .iter()
        .map(|(key, value)| ImagePruneFilter::LabelKeyVal(key.clone(), value.clone()))
        .chain([ImagePruneFilter::Dangling(true)]);
    let options = ImagePruneOpts::builder().filter(filters).build();
    let images = transport.api().images();
    let pruned = past_races(|| transport.request(images.prune(&options))).await?;
    let pruned = pruned.unwrap_or_default();
    Ok(pruned.iter().filter(|image| image.err.is_none()).count())
}

fn image(transport: &Transport, reference: &str) -> Result<Image, RuntimeError> {
    check_reference(reference)?;
    Ok(transport.api().images().get(reference))
}

/// Refuses what is no image reference: it becomes part of a request's path.
pub(super) fn check_reference(reference: &str) -> Result<(), RuntimeError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let bad_step = |step: &str| matches!(step, "" | "." | "..");
    if reference.bytes().all(good) && !reference.split('/').any(bad_step) {
        Ok(())
    } else {
        Err(RuntimeError::Refused { what: format!("{reference:?} is no image reference") })
    }
}

#[cfg(test)]
mod tests {
    use super::{check_reference, is_race};
    use crate::RuntimeError;

    #[test]
    fn a_layer_that_vanished_under_a_build_is_a_race_and_a_missing_base_is_none() {
        let failed =
            |message: &str| RuntimeError::BuildFailed { message: message.into(), log_tail: String::new() };
        assert!(is_race(&failed("committing the finished image: creating image \"0ed0\": layer not known")));
        assert!(is_race(&failed("committing container for step COPY: copying layers: image not known")));
        let listed = RuntimeError::Refused {
            what: "reading data blob size \"sha256:98c8\" for \"98c8\": size is not known".into(),
        };
        assert!(is_race(&listed));
        assert!(!is_race(&failed("creating build container: localhost/base: image not known")));
        assert!(!is_race(&failed("the command /bin/false exited with status 1")));
    }

    #[test]
    fn a_reference_cannot_become_another_request() {
        assert_eq!(check_reference("localhost/slipway/function:a-b_1.0"), Ok(()));
        for bad in ["", "a//b", "../containers/json", "a?force=true", "a#b", "a%2fb", "a b", "/a"] {
            assert!(check_reference(bad).is_err(), "{bad:?}");
        }
    }
}
