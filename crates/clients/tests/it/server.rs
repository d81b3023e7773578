//! A server on a free port that takes one connection per planned answer, in order.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Method and target.
    pub(crate) line: String,
    /// The header lines, in lower case.
    pub(crate) headers: Vec<String>,
    /// The body, read by its length.
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ String| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        self.headers.iter().find(|line| of(line)).map(|line| line[name.len() + 1..].trim())
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    received: JoinHandle<Vec<Received>>,
}

impl Server {
    /// Starts the server. An empty answer closes the connection without a byte.
    pub(crate) async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = tokio::spawn(async move {
            let mut received = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                received.push(exchange(stream, &answer).await);
            }
            received
        });
        Self { url, received }
    }

    /// Returns what arrived, once every planned answer is given.
    pub(crate) async fn received(self) -> Vec<Received> {
        self.received.await.unwrap()
    }
}

async fn exchange(stream: TcpStream, answer: &str) -> Received {
    let mut reader = BufReader::new(stream);
    let mut received = Received::default();
    reader.read_line(&mut received.line).await.unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        received.headers.push(line.trim().to_ascii_lowercase());
    }
    let length = received.header("content-length").map_or(0, |length| length.parse().unwrap());
    received.body.resize(length, 0);
    reader.read_exact(&mut received.body).await.unwrap();
    reader.write_all(answer.as_bytes()).await.unwrap();
    received
}

/// Writes an answer that closes the connection.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}
