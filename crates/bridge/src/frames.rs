//! The way of a call's frames to the connection that it came by.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::{Response, StatusCode};
use tokio::sync::{Notify, mpsc};

/// How much may wait for the runner before the worker's output is left in its pipes, where no other call has to wait
/// for that.
const LONG_BYTES: usize = 256 * 1024;

/// Takes a call's frames. Dropping it ends them.
pub(crate) struct Frames {
    chunks: mpsc::UnboundedSender<Bytes>,
    backlog: Rc<Backlog>,
}

/// What the connection has not taken yet.
#[derive(Default)]
pub(crate) struct Backlog {
    bytes: Cell<usize>,
    shrunk: Notify,
}

/// A body that comes in chunks.
pub(crate) struct Chunks {
    first: Option<Bytes>,
    rest: mpsc::UnboundedReceiver<Bytes>,
    backlog: Rc<Backlog>,
}

pub(crate) fn channel() -> (Frames, Chunks) {
    let (chunks, rest) = mpsc::unbounded_channel();
    let backlog = Rc::<Backlog>::default();
    (Frames { chunks, backlog: Rc::clone(&backlog) }, Chunks { first: None, rest, backlog })
}

impl Frames {
    pub(crate) fn send(&self, bytes: Bytes) {
        self.backlog.bytes.set(self.backlog.bytes.get() + bytes.len());
        // A runner that takes no more closes the connection, which ends everything.
        let _ = self.chunks.send(bytes);
    }

    /// Returns what waits for the runner where that is much.
    pub(crate) fn backlog_if_long(&self) -> Option<Rc<Backlog>> {
        (self.backlog.bytes.get() >= LONG_BYTES).then(|| Rc::clone(&self.backlog))
    }
}

impl Backlog {
    /// Waits until some of it was taken. May be cancelled.
    pub(crate) async fn shrinks(&self) {
        self.shrunk.notified().await;
    }

    fn take(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.shrunk.notify_one();
    }
}

impl Chunks {
    pub(crate) fn of(whole: Bytes) -> Self {
        let (_, chunks) = channel();
        Self { first: (!whole.is_empty()).then_some(whole), ..chunks }
    }

    /// Waits for the first chunk, so that a quick answer is one write on the connection; `None` where none comes.
    pub(crate) async fn begun(mut self) -> Option<Self> {
        let first = self.rest.recv().await?;
        Some(Self { first: Some(first), ..self })
    }

    pub(crate) fn response(self, status: StatusCode) -> Response<Self> {
        let mut response = Response::new(self);
        *response.status_mut() = status;
        response
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.rest.poll_recv(context),
        };
        next.map(|chunk| {
            chunk.map(|bytes| {
                self.backlog.take(bytes.len());
                Ok(Frame::data(bytes))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_closed() && self.rest.is_empty()
    }
}
