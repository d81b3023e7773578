use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What is read at once at first: most requests and answers are shorter.
const FIRST: usize = 4 * 1024;
/// By how much the room grows where it was not enough.
const GROWTH: usize = 4;

/// Bytes that were read from a connection and not used yet.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last reading took all the room there was: more will be there at once.
    was_filled: bool,
}

impl Input {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops what is unread, and the memory with it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Frees memory over so many bytes, where nothing is unread.
    pub(crate) fn shrink_to(&mut self, most: usize) {
        if self.is_empty() && self.bytes.len() > most {
            *self = Self::default();
        }
    }

    /// Reads once, what fits; returns how much that was, which is nothing at the connection's end. It holds at most `most`
    /// bytes, and has to be told so many that there is room.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        most: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if self.was_filled && self.bytes.len() < most {
                self.bytes = vec![0; most.min(GROWTH * self.bytes.len())];
            }
        }
        if self.end == self.bytes.len() {
            self.make_room(most);
        }
        let mut buffer = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(io).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        self.end += read;
        self.was_filled = self.end == self.bytes.len();
        Poll::Ready(Ok(read))
    }

    /// Reads once, as [`Input::poll_fill`] does.
    pub(crate) async fn fill<R: AsyncRead + Unpin>(&mut self, io: &mut R, most: usize) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_fill(io, most, context)).await
    }

    fn make_room(&mut self, most: usize) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            let length = self.bytes.len();
            self.bytes.resize(most.min((GROWTH * length).max(FIRST)).max(length + 1), 0);
        }
    }
}
