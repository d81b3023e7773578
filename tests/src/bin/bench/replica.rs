use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::answers::end_of_head;

const SLOWNESS: Duration = Duration::from_secs(1);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A small server whose ways can be changed. It answers GETs, whatever they ask for.
pub(crate) struct Replica {
    pub(crate) port: u16,
    state: Arc<State>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    is_slow: AtomicBool,
    answered: AtomicU32,
}

impl Replica {
    pub(crate) async fn start() -> Self {
        let mut replica = Self { port: 0, state: Arc::default(), serving: None };
        replica.serve().await;
        replica
    }

    /// Listens, where it did before.
    pub(crate) async fn serve(&mut self) {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port);
        let listener = TcpListener::bind(address).await.expect("the port");
        self.port = listener.local_addr().expect("its address").port();
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.state))));
    }

    /// Stops listening, and ends all connections, whatever is under way.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Has each answer come a second late from now on.
    pub(crate) fn slow_down(&self) {
        self.state.is_slow.store(true, Ordering::Relaxed);
    }

    /// Tells how many requests it has answered.
    pub(crate) fn answered(&self) -> u32 {
        self.state.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer_all(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer_all(mut stream: TcpStream, state: Arc<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut text = Vec::new();
    while stream.read_buf(&mut text).await? != 0 {
        while let Some(end) = end_of_head(&text) {
            text.drain(..end);
            if state.is_slow.load(Ordering::Relaxed) {
                tokio::time::sleep(SLOWNESS).await;
            }
            stream.write_all(ANSWER).await?;
            state.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
