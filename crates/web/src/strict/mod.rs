//! Reads what clients send as strictly as HTTP/1.1 is written, before the server reads it.
//!
//! The server underneath is lenient where RFC 9112 lets it be, and in some places where it does not: lines may end with a
//! bare LF, anything is a trailer, `Host` may hold anything, and what comes after a request that closes the connection is
//! served. Each is a way to have two readers see different requests in the same bytes. So they pass through here first: a
//! fault ends the connection, and the server sees nothing of what follows it.

mod messages;
#[cfg(any(test, fuzzing))]
pub mod properties;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use messages::{Messages, Standing};

/// What the server reads in the place of a fault: it refuses this wherever it stands but within data, where there is no
/// fault, with 400 where it still can.
const FAULT: &[u8] = b"\r\0";

/// A connection whose requests are read strictly. What is written to it passes as it is.
pub(crate) struct Strict<T> {
    io: T,
    messages: Messages,
    /// How much of [`FAULT`] the server has read.
    told: usize,
}

impl<T> Strict<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, messages: Messages::default(), told: 0 }
    }
}

impl<T: AsyncRead + Unpin> Strict<T> {
    /// Reads and drops all that is there. It is done at the connection's end.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut dropped = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Strict<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match this.messages.standing() {
                Standing::Fault if this.told < FAULT.len() => {
                    let telling = buffer.remaining().min(FAULT.len() - this.told);
                    buffer.put_slice(&FAULT[this.told..][..telling]);
                    this.told += telling;
                    return Poll::Ready(Ok(()));
                }
                Standing::Fault | Standing::Over => return this.poll_end(context),
                Standing::Open => {}
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
            let read = &buffer.filled()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passes = this.messages.take(read);
            buffer.set_filled(before + passes);
            if passes > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Strict<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Returns what the server reads of `bytes`, given to it in pieces.
    async fn read(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(piece);
        let mut server = Strict::new(server);
        let write = async {
            client.write_all(bytes).await.unwrap();
            drop(client);
        };
        let mut seen = Vec::new();
        let (read, ()) = tokio::join!(server.read_to_end(&mut seen), write);
        read.unwrap();
        seen
    }

    #[tokio::test]
    async fn the_server_reads_good_requests_as_they_are_and_a_fault_in_the_place_of_a_bad_one() {
        let good =
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\n\n";
        let bad = b"GET / HTTP/1.1\r\nHost: a\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
        let told = b"GET / HTTP/1.1\r\nHost: a\r\0";
        for piece in [1, 2, 7, 1024] {
            assert_eq!(read(good, piece).await, good);
            assert_eq!(read(&[good.as_slice(), bad].concat(), piece).await, [good.as_slice(), told].concat());
        }
    }

    #[tokio::test]
    async fn what_follows_the_last_request_is_not_read() {
        let last = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab";
        let next = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for piece in [1, 1024] {
            assert_eq!(read(&[last.as_slice(), next].concat(), piece).await, last);
        }
    }
}
