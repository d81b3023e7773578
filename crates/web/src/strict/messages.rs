use std::borrow::Cow;

use memchr::memchr;

use slipway_http1::{Body, Chunks, Fault, Head};

/// The server refuses a head long before this, with 431.
const LONGEST_LINE: usize = 256 * 1024;

/// How it stands with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// More may come.
    Open,
    /// What came is no HTTP/1.1, and nobody can tell where the next request begins.
    Fault,
    /// The last request has ended.
    Over,
}

/// Where a connection is in its requests.
#[derive(Default)]
pub(super) struct Messages {
    at: At,
    head: Head,
    /// The part of a head's line that came without the rest.
    line: Vec<u8>,
}

#[derive(Default)]
enum At {
    /// In a head, or before one.
    #[default]
    Head,
    /// In a body, with so many bytes to come.
    Sized(u64),
    Chunks(Chunks),
    /// In what is no HTTP any more.
    Opaque,
    Fault,
    Over,
}

impl Messages {
    pub(super) fn standing(&self) -> Standing {
        match self.at {
            At::Fault => Standing::Fault,
            At::Over => Standing::Over,
            At::Head | At::Sized(_) | At::Chunks(_) | At::Opaque => Standing::Open,
        }
    }

    /// Tells whether no request has begun that has not ended.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_between(&self) -> bool {
        match self.at {
            At::Head => !self.head.has_begun() && self.line.iter().all(|byte| *byte == b'\r'),
            At::Over => true,
            At::Sized(_) | At::Chunks(_) | At::Opaque | At::Fault => false,
        }
    }

    /// Tells whether what comes is no HTTP any more.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_opaque(&self) -> bool {
        matches!(self.at, At::Opaque)
    }

    /// Reads what came. Returns how much of it passes: all of it while the connection stands open.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match &mut self.at {
                At::Head => self.take_line(rest),
                At::Sized(left) => {
                    let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.end_request();
                    }
                    taken
                }
                At::Chunks(chunks) => {
                    let taken = chunks.take(rest);
                    match chunks.is_over() {
                        Ok(false) => {}
                        Ok(true) => self.end_request(),
                        Err(Fault) => self.at = At::Fault,
                    }
                    taken
                }
                At::Opaque => rest.len(),
                At::Fault | At::Over => break,
            };
            rest = &rest[taken..];
        }
        bytes.len() - rest.len()
    }

    /// Takes a line of a head, or the part of it that is there.
    fn take_line(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            if self.line.len() + bytes.len() > LONGEST_LINE {
                self.at = At::Fault;
                return 0;
            }
            self.line.extend_from_slice(bytes);
            return bytes.len();
        };
        let begun = std::mem::take(&mut self.line);
        let whole: Cow<'_, [u8]> =
            if begun.is_empty() { bytes[..end].into() } else { [&begun, &bytes[..end]].concat().into() };
        let line = whole.strip_suffix(b"\r").ok_or(Fault);
        match line.and_then(|line| self.head.read_line(line)) {
            Err(Fault) => {
                self.at = At::Fault;
                end
            }
            Ok(None) => end + 1,
            Ok(Some(body)) => {
                match body {
                    Body::None => self.end_request(),
                    Body::Sized(length) => self.at = At::Sized(length),
                    Body::Chunked => self.at = At::Chunks(Chunks::default()),
                    Body::Opaque => self.at = At::Opaque,
                }
                end + 1
            }
        }
    }

    fn end_request(&mut self) {
        let was_last = std::mem::take(&mut self.head).is_last();
        self.at = if was_last { At::Over } else { At::Head };
    }
}
