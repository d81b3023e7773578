//! As much of the WebSocket protocol (RFC 6455) as a measurement needs: whole frames of few bytes.

use std::io;
use std::net::SocketAddrV4;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;

/// The example of section 1.3: a key, and what accepts it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
/// What the first byte says of a frame that is a whole message.
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A socket, read through few bytes: there are thousands.
pub(crate) type Socket = BufReader<TcpStream>;

pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// Opens a socket as somebody who is signed in.
pub(crate) async fn open(to: SocketAddrV4, path: &str, token: &str) -> io::Result<Socket> {
    let mut socket = buffered(TcpStream::connect(to).await?)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let head = read_head(&mut socket).await?;
    if head.starts_with("http/1.1 101 ") && head.contains(&ACCEPT.to_ascii_lowercase()) {
        Ok(socket)
    } else {
        Err(io::Error::other(format!("no WebSocket: {head}")))
    }
}

/// Answers the handshake of a socket that [`open`] opens, at whatever path.
pub(crate) async fn accept(stream: TcpStream) -> io::Result<Socket> {
    let mut socket = buffered(stream)?;
    let head = read_head(&mut socket).await?;
    if !head.contains(&KEY.to_ascii_lowercase()) {
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
        return Err(io::Error::other(format!("no handshake: {head}")));
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {ACCEPT}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await?;
    Ok(socket)
}

/// Reads the next frame, and unmasks it.
pub(crate) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let [first, second] = [socket.read_u8().await?, socket.read_u8().await?];
    let length = usize::from(second & !MASKED);
    if length > 125 {
        return Err(io::Error::other("a long frame"));
    }
    let mut mask = [0; 4];
    if second & MASKED != 0 {
        socket.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Frame { opcode: first & !FINAL, payload })
}

/// Writes a frame of at most 125 bytes. What clients send is masked: this mask changes nothing.
pub(crate) async fn write(
    socket: &mut (impl AsyncWrite + Unpin),
    opcode: u8,
    payload: &[u8],
    is_client: bool,
) -> io::Result<()> {
    let length = u8::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = vec![FINAL | opcode, length];
    if is_client {
        frame[1] |= MASKED;
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    socket.write_all(&frame).await
}

/// Returns what answers a frame: a ping is.
pub(crate) fn answer_to(frame: &Frame) -> Option<u8> {
    (frame.opcode == PING).then_some(PONG)
}

/// Tells whether a frame ends the socket.
pub(crate) fn ends(frame: &Frame) -> bool {
    frame.opcode == CLOSE
}

fn buffered(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    Ok(BufReader::with_capacity(512, stream))
}

/// Reads a head, in lower case.
async fn read_head(socket: &mut Socket) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head.to_ascii_lowercase())
}
