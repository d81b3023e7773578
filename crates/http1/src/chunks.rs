use crate::Fault;
use crate::fields::is_token;

/// The most digits of a chunk's size.
const MAX_DIGITS: u32 = 16;
/// The most bytes of a chunk's extensions, which nobody here reads.
const MAX_EXTENSIONS: u32 = 4 * 1024;
/// The most bytes of all trailers, which are not passed on.
const MAX_TRAILERS: u32 = 16 * 1024;

/// Where a body is in its chunks (RFC 9112, section 7.1).
#[derive(Debug, Default)]
pub struct Chunks {
    at: At,
    size: u64,
    /// Bytes of the line, or of the trailers.
    length: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    /// In space before a semicolon.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer, or of the last line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Over,
    Fault,
}

impl Chunks {
    /// Takes what belongs to the body, up to its end or to a fault.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            let (read, data) = self.read(&bytes[taken..]);
            taken += read;
            if data.is_empty() {
                return taken;
            }
        }
    }

    /// Reads up to the end of the first data that comes. Returns how much that is, and the data; without data it has come to
    /// the body's end, to a fault, or to the end of what is there.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> (usize, &'a [u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            if self.at == At::Data {
                let rest = &bytes[index..];
                let taken = usize::try_from(self.size).map_or(rest.len(), |size| size.min(rest.len()));
                self.size -= taken as u64;
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                return (index + taken, &rest[..taken]);
            }
            if matches!(self.at, At::Over | At::Fault) {
                return (index, &[]);
            }
            self.at = self.step(*byte);
            if self.at == At::Fault {
                return (index, &[]);
            }
        }
        (bytes.len(), &[])
    }

    /// Tells whether the body has ended.
    pub fn is_over(&self) -> Result<bool, Fault> {
        match self.at {
            At::Fault => Err(Fault),
            at => Ok(at == At::Over),
        }
    }

    fn step(&mut self, byte: u8) -> At {
        self.length += 1;
        match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.length <= MAX_DIGITS => {
                self.size = self.size << 4 | u64::from(char::from(byte).to_digit(16).unwrap_or_default());
                At::Size
            }
            (At::Size, b' ' | b'\t' | b';' | b'\r') if self.length == 1 => At::Fault,
            (At::Size | At::Space, b' ' | b'\t') if self.length <= MAX_EXTENSIONS => At::Space,
            (At::Size | At::Space, b';') => At::Extension,
            (At::Size | At::Extension, b'\r') => At::SizeLf,
            (At::Extension, byte) if is_text(byte) && self.length <= MAX_EXTENSIONS => At::Extension,
            (At::SizeLf, b'\n') => self.begin_data(),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => self.begin_line(At::Size),
            (At::Trailer, b'\r') => At::LastLf,
            (At::Trailer | At::TrailerName, byte) if is_token(byte) && self.length <= MAX_TRAILERS => {
                At::TrailerName
            }
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, byte) if is_text(byte) && self.length <= MAX_TRAILERS => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::Trailer,
            (At::LastLf, b'\n') => At::Over,
            _ => At::Fault,
        }
    }

    fn begin_data(&mut self) -> At {
        if self.size == 0 { self.begin_line(At::Trailer) } else { At::Data }
    }

    fn begin_line(&mut self, at: At) -> At {
        self.length = 0;
        at
    }
}

/// What a value may hold (RFC 9110, section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how much is taken, and whether the body has ended then.
    fn take(bytes: &[u8]) -> (usize, Result<bool, Fault>) {
        let mut chunks = Chunks::default();
        (chunks.take(bytes), chunks.is_over())
    }

    #[test]
    fn a_body_ends_with_its_last_line_and_nothing_after_it_is_taken() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "0005;a=b;c=\"d\"\r\n\r\n\0\r\n\r\n000 ;e\r\n\r\n",
            "A\r\n0123456789\r\n0\r\nX-A: b\r\nX-C:\r\n\r\n",
        ] {
            assert_eq!(take(body.as_bytes()), (body.len(), Ok(true)), "{body:?}");
            assert_eq!(take(format!("{body}GET ").as_bytes()), (body.len(), Ok(true)), "{body:?}");
            assert_eq!(take(&body.as_bytes()[..body.len() - 1]), (body.len() - 1, Ok(false)), "{body:?}");
        }
    }

    #[test]
    fn a_fault_is_where_it_stands() {
        let long = |text: &str, count| text.repeat(count);
        for (body, good) in [
            ("\r\n".to_owned(), 0),
            (";a\r\n".to_owned(), 0),
            ("-5\r\n".to_owned(), 0),
            ("5\n".to_owned(), 1),
            ("5 \r\n".to_owned(), 2),
            ("5;a\n".to_owned(), 3),
            ("1\r\nab".to_owned(), 4),
            ("0\r\n\n".to_owned(), 3),
            ("0\r\nGET / HTTP/1.1\r\n".to_owned(), 6),
            ("0\r\n a: b\r\n".to_owned(), 3),
            ("0\r\na: \0\r\n".to_owned(), 6),
            (long("f", 17), 16),
            (format!("5;{}", long("a", 5000)), 4096),
            (format!("0\r\n{}", long("a: b\r\n", 5000)), 3 + 16 * 1024),
        ] {
            let (taken, over) = take(body.as_bytes());
            assert_eq!(over, Err(Fault), "{body:?}");
            assert!(taken.abs_diff(good) <= 2, "{body:?}: {taken}, not {good}");
        }
    }
}
