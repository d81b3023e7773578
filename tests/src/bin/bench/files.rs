//! What stands behind proxies that large bodies go through: it sends files, and takes uploads and drops them.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};

use crate::answers::end_of_head;

/// What is dropped at a time.
const PIECE: usize = 1024 * 1024;
/// Where a receiver stops for a while: what comes meanwhile, somebody on the way has to hold or to leave unread.
const PAUSE_AT: u64 = 64 * 1024 * 1024;
const PAUSE: Duration = Duration::from_secs(2);

/// Answers `GET /bench/{file}` with a file of a directory, and any PUT with 204, until the bench ends; returns the port.
pub(crate) fn serve(directory: &Path) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let directory = directory.clone();
            // A proxy that ends the connection ends this.
            std::thread::spawn(move || answer_all(stream, &directory));
        }
    });
    port
}

fn answer_all(mut stream: TcpStream, directory: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(text) = read_head(&mut stream)? {
        let request = Request::read(&text).ok_or(ErrorKind::InvalidData)?;
        match request.length {
            None => {
                let mut file = File::open(directory.join(&request.file))?;
                let length = file.metadata()?.len();
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")?;
                io::copy(&mut file, &mut stream)?;
            }
            Some(length) => {
                drop_body(&stream, length - request.begun, request.pauses)?;
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
            }
        }
    }
    Ok(())
}

struct Request {
    file: PathBuf,
    /// Of the body, where there is one.
    length: Option<u64>,
    /// How much of the body came with the head.
    begun: u64,
    pauses: bool,
}

impl Request {
    fn read(text: &[u8]) -> Option<Self> {
        let size = end_of_head(text)?;
        let head = String::from_utf8_lossy(&text[..size]).to_ascii_lowercase();
        let target = head.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        Some(Self {
            file: path.rsplit('/').next()?.into(),
            length: length.and_then(|length| length.trim().parse().ok()).filter(|_| head.starts_with("put")),
            begun: u64::try_from(text.len() - size).ok()?,
            pauses: !query.is_empty(),
        })
    }
}

/// Reads until a head is there whole; returns it with what of a body came along. Nothing where the connection ends.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    while end_of_head(&text).is_none() {
        match stream.read(&mut bytes)? {
            0 => return Ok(None),
            count => text.extend_from_slice(&bytes[..count]),
        }
    }
    Ok(Some(text))
}

/// Takes so many bytes and drops them in the kernel (`MSG_TRUNC` of `tcp(7)`).
pub(crate) fn drop_body(stream: &TcpStream, length: u64, pauses: bool) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let (mut taken, mut pauses) = (0, pauses);
    while taken < length {
        if pauses && taken >= PAUSE_AT {
            std::thread::sleep(PAUSE);
            pauses = false;
        }
        let most = usize::try_from(length - taken).unwrap_or(PIECE).min(PIECE);
        let (_, count) = recv(stream, &mut piece[..most], RecvFlags::TRUNC)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        taken += u64::try_from(count).unwrap_or_default();
    }
    Ok(())
}
