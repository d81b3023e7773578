//! A non-blocking descriptor: a pipe's reading end, or the socket to the worker.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Beside waiting it can be read at once. tokio's own types answer "would block" from what they remember, and so
/// cannot tell that a pipe is empty *now*, which is what the order of output and answer rests on.
pub(crate) struct Pipe {
    descriptor: AsyncFd<OwnedFd>,
}

impl Pipe {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe for the sake of types that do not own their descriptor"
    )]
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self { descriptor: AsyncFd::new(descriptor)? })
    }

    /// Waits until there is something to read, or the other end is closed. May be cancelled.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.descriptor.readable().await?.retain_ready();
        Ok(())
    }

    /// Reads what is there at this moment.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = rustix::io::read(self.descriptor.get_ref(), buffer);
        if read == Err(Errno::AGAIN) {
            // The next `readable` waits for more.
            let _ =
                self.descriptor.try_io(Interest::READABLE, |_| Err::<(), _>(ErrorKind::WouldBlock.into()));
        }
        Ok(read?)
    }

    /// Writes all of the parts, in one system call where the other end has room.
    pub(crate) async fn write_all(&self, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = self
                .descriptor
                .async_io(Interest::WRITABLE, |descriptor| Ok(rustix::io::writev(descriptor, left)?))
                .await?;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }
}
