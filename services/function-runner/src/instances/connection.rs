//! The runner's side of an instance's connections: HTTP/1.1 over the socket that the bridge dialled.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use slipway_bridge::protocol::{
    CONFIGURE_PATH, Configure, Frame, FrameDecoder, FrameError, INVOKE_PATH, READY_PATH,
};
use tokio::net::{UnixListener, UnixStream};

/// What is read of the line that says why the bridge refused.
const REFUSAL_BYTES: usize = 4 * 1024;

/// Says how the conversation with an instance broke off. The instance is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The connection broke.
    #[error("the connection to the instance broke: {0}")]
    Connection(#[from] hyper::Error),
    /// What came back is no stream of frames.
    #[error("the instance broke the protocol: {0}")]
    Protocol(#[from] FrameError),
    /// The message could not be written.
    #[error("the message cannot be written: {0}")]
    Message(String),
    /// The bridge refused the request.
    #[error("the instance refused with {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The bridge's own words.
        reason: String,
    },
}

/// A connection of an instance: it carries one call at a time.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Speaks HTTP on `stream`, on the current Tokio runtime.
    pub(super) async fn open(stream: UnixStream) -> Result<Self, BridgeError> {
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection of an instance ended");
            }
        });
        Ok(Self { requests })
    }

    /// Tells whether the bridge is still there.
    pub(super) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Hands over the configuration, once, before anything else.
    pub(super) async fn configure(&mut self, configure: &Configure) -> Result<(), BridgeError> {
        let body = serde_json::to_vec(configure).map_err(|fault| BridgeError::Message(fault.to_string()))?;
        self.send(Method::PUT, CONFIGURE_PATH, body.into()).await.map(drop)
    }

    /// Asks for the handler to be loaded; the stream's end tells how that went.
    pub(super) async fn ready(&mut self) -> Result<Frames, BridgeError> {
        Ok(Frames::new(self.send(Method::GET, READY_PATH, Bytes::new()).await?))
    }

    /// Calls the handler; `head` is an encoded `InvokeHead`.
    pub(super) async fn invoke(&mut self, head: &[u8], body: &[u8]) -> Result<Frames, BridgeError> {
        let message = [head, body].concat();
        Ok(Frames::new(self.send(Method::POST, INVOKE_PATH, message.into()).await?))
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Incoming, BridgeError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "instance")
            .body(Full::new(body))
            .map_err(|fault| BridgeError::Message(fault.to_string()))?;
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let reason = Limited::new(response.into_body(), REFUSAL_BYTES).collect().await;
        let reason = reason.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        Err(BridgeError::Refused { status, reason: reason.unwrap_or_default() })
    }
}

/// An instance that has dialled and was told nothing yet: no code of the function's runs in it.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    pub(super) listener: UnixListener,
    pub(super) socket: PathBuf,
}

impl Dialled {
    /// Hands over the configuration, upon which the bridge dials again for each further call at a time; returns all
    /// connections. From then on there is no socket: nobody can dial what is not there.
    pub(super) async fn configure(self, configure: &Configure) -> Result<Vec<Connection>, BridgeError> {
        let Self { mut connection, listener, socket } = self;
        let further = async {
            let mut further = Vec::new();
            for _ in 1..configure.concurrency {
                let (stream, _) =
                    listener.accept().await.map_err(|fault| BridgeError::Message(fault.to_string()))?;
                further.push(Connection::open(stream).await?);
            }
            Ok(further)
        };
        let configured = tokio::try_join!(connection.configure(configure), further);
        drop(listener);
        let _ = fs::remove_file(socket);
        let ((), mut connections) = configured?;
        connections.push(connection);
        Ok(connections)
    }
}

/// The frames of one answer, as they come.
pub(crate) struct Frames {
    body: Incoming,
    decoder: FrameDecoder,
}

impl Frames {
    fn new(body: Incoming) -> Self {
        Self { body, decoder: FrameDecoder::new() }
    }

    /// Returns the next frame. The last is [`Frame::End`]; a stream that stops before it is an error. May be
    /// cancelled and called again.
    pub(crate) async fn next(&mut self) -> Result<Frame, BridgeError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            match self.body.frame().await {
                Some(chunk) => {
                    if let Ok(data) = chunk?.into_data() {
                        self.decoder.push(&data);
                    }
                }
                None => return Err(FrameError::Truncated.into()),
            }
        }
    }

    /// Reads to the end of the answer, past its last frame, so that the connection can carry the next call.
    pub(crate) async fn finish(mut self) -> Result<(), BridgeError> {
        while let Some(chunk) = self.body.frame().await {
            if let Ok(data) = chunk?.into_data() {
                self.decoder.push(&data);
            }
        }
        Ok(self.decoder.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use slipway_bridge::protocol::{End, Outcome};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Connects to a bridge that answers the first request with `answer` and closes.
    async fn answered_with(answer: Vec<u8>) -> Connection {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let mut request = [0; 1024];
            assert!(theirs.read(&mut request).await.unwrap() > 0);
            theirs.write_all(&answer).await.unwrap();
        });
        Connection::open(ours).await.unwrap()
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    fn end() -> BytesMut {
        let mut bytes = BytesMut::new();
        let end = End {
            outcome: Outcome::Succeeded,
            log_bytes_dropped: 0,
            log_lines_dropped: 0,
            peak_memory_bytes: None,
            cpu_us: None,
            worker_exited: false,
        };
        Frame::End(end).encode(&mut bytes).unwrap();
        bytes
    }

    async fn read(answer: Vec<u8>) -> Result<(), BridgeError> {
        let mut frames = answered_with(answer).await.invoke(b"head", b"body").await?;
        while !matches!(frames.next().await?, Frame::End(_)) {}
        frames.finish().await
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end() {
        read(ok(&end())).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_stream_of_frames_is_refused() {
        let whole = end();
        let again = [&whole[..], &whole[..]].concat();
        for body in
            [b"garbage".as_slice(), b"", &whole[..whole.len() - 1], &again, &[3, 0xff, 0xff, 0xff, 0xff]]
        {
            let fault = read(ok(body)).await.unwrap_err();
            assert!(matches!(fault, BridgeError::Protocol(_)), "{fault}");
        }
    }

    #[tokio::test]
    async fn an_instance_that_ends_in_the_middle_is_told_from_one_that_misbehaves() {
        for answer in [b"".to_vec(), b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec()] {
            let fault = read(answer).await.unwrap_err();
            assert!(matches!(fault, BridgeError::Connection(_)), "{fault}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let answer = b"HTTP/1.1 409 Conflict\r\ncontent-length: 12\r\n\r\nnot this way".to_vec();
        let fault = read(answer).await.unwrap_err();
        assert_eq!(fault.to_string(), "the instance refused with 409 Conflict: not this way");
    }
}
