use memchr::memchr;

use crate::fields::{Fields, Lines};
use crate::head::number;
use crate::{Fault, HeadFault};

/// The head of an answer in bytes that grow. It is told all bytes from the head's first on, each time; names of fields
/// become lower case there.
#[derive(Debug, Default)]
pub struct AnswerHead {
    lines: Lines,
    fields: Fields,
    status: Option<u16>,
    is_old: bool,
    keeps: Option<bool>,
    length: Option<u64>,
    is_chunked: bool,
}

/// How the body of an answer ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerBody {
    /// There is none.
    None,
    /// After so many bytes.
    Sized(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilEnd,
}

impl AnswerHead {
    /// Makes it ready for the next head.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    /// Reads on. Tells whether the head is whole.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<bool, HeadFault> {
        while let Some(line) = self.lines.next(bytes)? {
            if self.status.is_none() {
                self.read_status_line(&bytes[line])?;
            } else if line.is_empty() {
                if self.is_chunked && self.length.is_some() {
                    return Err(HeadFault::Malformed);
                }
                return Ok(true);
            } else {
                let (name, value) = self.fields.read(bytes, line)?;
                // By length: most fields are none of these.
                match name.len() {
                    10 if name == b"connection" => {
                        let options = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                        if options().any(|option| option.eq_ignore_ascii_case(b"close")) {
                            self.keeps = Some(false);
                        } else if options().any(|option| option.eq_ignore_ascii_case(b"keep-alive")) {
                            self.keeps = self.keeps.or(Some(true));
                        }
                    }
                    14 if name == b"content-length" => {
                        let length = number(value).ok_or(Fault)?;
                        if self.length.replace(length).is_some_and(|before| before != length) {
                            return Err(HeadFault::Malformed);
                        }
                    }
                    17 if name == b"transfer-encoding"
                        && (std::mem::replace(&mut self.is_chunked, true)
                            || !value.eq_ignore_ascii_case(b"chunked")) =>
                    {
                        return Err(HeadFault::Malformed);
                    }
                    _ => {}
                }
            }
        }
        Ok(false)
    }

    /// Returns how many bytes the head has.
    pub fn length(&self) -> usize {
        self.lines.taken()
    }

    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or_default()
    }

    /// Returns the length that is stated.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Tells how the body ends of what answers a request of this method.
    pub fn body(&self, method: &str) -> AnswerBody {
        match self.status() {
            100..=199 | 204 | 304 => AnswerBody::None,
            _ if method == "HEAD" => AnswerBody::None,
            _ if self.is_chunked => AnswerBody::Chunked,
            _ => self.length.map_or(AnswerBody::UntilEnd, AnswerBody::Sized),
        }
    }

    /// Tells whether the connection ends with this answer.
    pub fn is_last(&self) -> bool {
        !self.keeps.unwrap_or(!self.is_old)
    }

    /// Returns names, in lower case, and values of all fields.
    pub fn fields<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter(bytes)
    }

    /// Returns the values of all fields of a name, which is given in lower case.
    pub fn values<'a>(&'a self, bytes: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.values(bytes, name)
    }

    /// RFC 9112, section 4.
    fn read_status_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let space = memchr(b' ', line).ok_or(Fault)?;
        self.is_old = match &line[..space] {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Fault),
        };
        let (code, reason) = line[space + 1..].split_at_checked(3).ok_or(Fault)?;
        let status = number(code).and_then(|status| u16::try_from(status).ok()).ok_or(Fault)?;
        if status < 100 || !(reason.is_empty() || reason[0] == b' ') {
            return Err(Fault);
        }
        self.status = Some(status);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<AnswerHead>, HeadFault> {
        let mut head = AnswerHead::default();
        let mut bytes = text.as_bytes().to_vec();
        Ok(head.read(&mut bytes)?.then_some(head))
    }

    #[test]
    fn the_body_ends_as_the_head_and_the_method_say() {
        for (text, method, body, is_last) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", AnswerBody::Sized(3), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", AnswerBody::None, false),
            ("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n", "GET", AnswerBody::Chunked, false),
            ("HTTP/1.1 200 \r\nConnection: x, close\r\n\r\n", "GET", AnswerBody::UntilEnd, true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", AnswerBody::None, false),
            ("HTTP/1.0 204 No Content\r\n\r\n", "GET", AnswerBody::None, true),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
                "GET",
                AnswerBody::Sized(0),
                false,
            ),
        ] {
            let head = read(text).unwrap().unwrap();
            assert_eq!((head.body(method), head.is_last()), (body, is_last), "{text:?}");
        }
    }

    #[test]
    fn what_could_end_in_two_places_is_no_answer() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "hello\r\n",
        ] {
            assert_eq!(read(text).err(), Some(HeadFault::Malformed), "{text:?}");
        }
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n").unwrap().is_none());
    }
}
