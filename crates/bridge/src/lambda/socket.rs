//! The worker's side of the socket to the bridge: `../wire.rs` describes the messages.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use slipway_bridge::protocol::{MAX_BODY_BYTES, MAX_CONFIGURE_BYTES};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

const PRELUDE_BYTES: usize = 13;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Configure = 1,
    Invoke = 2,
    Ready = 3,
    Answer = 4,
    Failure = 5,
    LastFailure = 7,
}

/// What the bridge said.
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) call: u32,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Receiver(OwnedReadHalf);

/// Sends one message after another, however many tasks have one.
#[derive(Clone)]
pub(crate) struct Sender(Rc<Mutex<OwnedWriteHalf>>);

pub(crate) fn split(socket: UnixStream) -> io::Result<(Receiver, Sender)> {
    socket.set_nonblocking(true)?;
    let (read, write) = tokio::net::UnixStream::from_std(socket)?.into_split();
    Ok((Receiver(read), Sender(Rc::new(Mutex::new(write)))))
}

impl Receiver {
    /// Returns the next message, or `None` when the bridge is gone.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Message>> {
        let mut prelude = [0; PRELUDE_BYTES];
        match self.0.read_exact(&mut prelude).await {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let [kind, numbers @ ..] = prelude;
        let number =
            |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        let kind = match kind {
            1 => Kind::Configure,
            2 => Kind::Invoke,
            _ => return Err(io::Error::other("the bridge sent a message of an unknown kind")),
        };
        let head = self.part(number(4) as usize, MAX_CONFIGURE_BYTES).await?;
        let body = self.part(number(8) as usize, MAX_BODY_BYTES).await?;
        Ok(Some(Message { kind, call: number(0), head, body }))
    }

    async fn part(&mut self, length: usize, limit: usize) -> io::Result<Vec<u8>> {
        if length > limit {
            return Err(io::Error::other("the bridge sent a message that is too large"));
        }
        let mut part = vec![0; length];
        self.0.read_exact(&mut part).await?;
        Ok(part)
    }
}

impl Sender {
    /// Sends a message. Must not be cancelled: half a message would be the end of the instance.
    pub(crate) async fn send(&self, kind: Kind, call: u32, head: &[u8], body: &[u8]) -> io::Result<()> {
        let length = |part: &[u8]| u32::try_from(part.len()).map_err(io::Error::other);
        let mut message = Vec::with_capacity(PRELUDE_BYTES + head.len());
        message.push(kind as u8);
        for number in [call, length(head)?, length(body)?] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(head);
        let mut socket = self.0.lock().await;
        socket.write_all(&message).await?;
        socket.write_all(body).await
    }
}
