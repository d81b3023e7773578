use tokio::task::JoinHandle;
use tracing::Span;

/// Runs blocking work on a thread of its own kind, inside `span`: its log lines and spans stay part of the request.
pub fn spawn_blocking<T: Send + 'static>(
    span: Span,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || span.in_scope(work))
}
