//! The runner's side of an instance's connections: HTTP/1.1 over the socket that the bridge dialled.

use std::fs;
use std::future::poll_fn;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
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
///
/// Each call speaks HTTP in its own task, on the thread that it came in on: a task per connection would cost a call
/// several wake-ups of another thread (ADR 23).
pub(super) struct Connection {
    /// None while it carries a call, and when one broke off.
    idle: Option<StdUnixStream>,
}

impl Connection {
    /// Makes a connection of a stream that the bridge dialled.
    pub(super) fn open(stream: UnixStream) -> Result<Self, BridgeError> {
        Ok(Self { idle: Some(stream.into_std().map_err(message)?) })
    }

    /// Tells whether the bridge is still there, and has said nothing that it was not asked.
    pub(super) fn is_open(&self) -> bool {
        let mut byte = [0; 1];
        self.idle.as_ref().is_some_and(|stream| {
            recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) == Err(Errno::WOULDBLOCK)
        })
    }

    /// Hands over the configuration, once, before anything else.
    pub(super) async fn configure(&mut self, configure: &Configure) -> Result<(), BridgeError> {
        let body = serde_json::to_vec(configure).map_err(message)?;
        self.send(Method::PUT, CONFIGURE_PATH, body.into()).await?.give_back().await
    }

    /// Asks for the handler to be loaded; the stream's end tells how that went.
    pub(super) async fn ready(&mut self) -> Result<Frames<'_>, BridgeError> {
        Ok(Frames::new(self.send(Method::GET, READY_PATH, Bytes::new()).await?))
    }

    /// Calls the handler; `head` is an encoded `InvokeHead`.
    pub(super) async fn invoke(&mut self, head: &[u8], body: &[u8]) -> Result<Frames<'_>, BridgeError> {
        let message = [head, body].concat();
        Ok(Frames::new(self.send(Method::POST, INVOKE_PATH, message.into()).await?))
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Exchange<'_>, BridgeError> {
        let stream = self.idle.take().ok_or_else(|| message("the connection carries another call"))?;
        let stream = UnixStream::from_std(stream).map_err(message)?;
        let (mut requests, http) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "instance")
            .body(Full::new(body))
            .map_err(message)?;
        let response = requests.send_request(request);
        let mut driven = Driven { http, is_over: false };
        let response = driven.until(response).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Exchange { connection: self, requests, driven, answer: response.into_body() });
        }
        let reason = driven.until(Limited::new(response.into_body(), REFUSAL_BYTES).collect()).await;
        let reason = reason.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        Err(BridgeError::Refused { status, reason: reason.unwrap_or_default() })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is named where errors are mapped")]
fn message(fault: impl ToString) -> BridgeError {
    BridgeError::Message(fault.to_string())
}

/// HTTP on a stream, which goes on while something is waited for.
struct Driven {
    http: http1::Connection<TokioIo<UnixStream>, Full<Bytes>>,
    is_over: bool,
}

impl Driven {
    /// Waits for a part of an exchange.
    async fn until<T>(&mut self, part: impl Future<Output = T>) -> T {
        let mut part = pin!(part);
        poll_fn(|context| {
            if let Poll::Ready(part) = part.as_mut().poll(context) {
                return Poll::Ready(part);
            }
            // What ends the connection is told to whoever waits for a part.
            self.is_over = self.is_over || self.http.poll_without_shutdown(context).is_ready();
            part.as_mut().poll(context)
        })
        .await
    }
}

/// A request that was sent, and its answer as it comes. Dropped before its end, it closes the connection.
struct Exchange<'a> {
    connection: &'a mut Connection,
    requests: SendRequest<Full<Bytes>>,
    driven: Driven,
    answer: Incoming,
}

impl Exchange<'_> {
    /// Returns the next bytes of the answer. May be cancelled and called again.
    async fn chunk(&mut self) -> Result<Option<Bytes>, BridgeError> {
        loop {
            match self.driven.until(self.answer.frame()).await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// Reads to the end of the answer, and lets the connection carry the next call.
    async fn give_back(mut self) -> Result<(), BridgeError> {
        while self.chunk().await?.is_some() {}
        let Self { connection, requests, driven: Driven { mut http, is_over }, .. } = self;
        drop(requests);
        if !is_over {
            poll_fn(|context| http.poll_without_shutdown(context)).await?;
        }
        let parts = http.into_parts();
        if parts.read_buf.is_empty() {
            connection.idle = Some(parts.io.into_inner().into_std().map_err(message)?);
        }
        Ok(())
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
                further.push(Connection::open(listener.accept().await.map_err(message)?.0)?);
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
pub(crate) struct Frames<'a> {
    exchange: Exchange<'a>,
    decoder: FrameDecoder,
}

impl<'a> Frames<'a> {
    fn new(exchange: Exchange<'a>) -> Self {
        Self { exchange, decoder: FrameDecoder::new() }
    }

    /// Returns the next frame. The last is [`Frame::End`]; a stream that stops before it is an error. May be
    /// cancelled and called again.
    pub(crate) async fn next(&mut self) -> Result<Frame, BridgeError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let chunk = self.exchange.chunk().await?.ok_or(FrameError::Truncated)?;
            self.decoder.push(&chunk);
        }
    }

    /// Reads to the end of the answer, past its last frame, and lets the connection carry the next call.
    pub(crate) async fn finish(self) -> Result<(), BridgeError> {
        let Self { mut exchange, mut decoder } = self;
        while let Some(chunk) = exchange.chunk().await? {
            decoder.push(&chunk);
        }
        decoder.finish()?;
        exchange.give_back().await
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use slipway_bridge::protocol::{End, Outcome};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Connects to a bridge that answers the first request with `answer` and closes.
    fn answered_with(answer: Vec<u8>) -> Connection {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let mut request = [0; 1024];
            assert!(theirs.read(&mut request).await.unwrap() > 0);
            theirs.write_all(&answer).await.unwrap();
        });
        Connection::open(ours).unwrap()
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
        let mut connection = answered_with(answer);
        let mut frames = connection.invoke(b"head", b"body").await?;
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
