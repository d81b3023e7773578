use std::ops::Range;

use memchr::memchr;

use crate::fields::{Fields, Lines};
use crate::{Body, Fault, Head, HeadFault};

/// The longest target that is read.
const MAX_TARGET: usize = 65_534;

/// The head of a request in bytes that grow. It is told all bytes from the head's first on, each time; names of fields
/// become lower case there.
#[derive(Debug, Default)]
pub struct RequestHead {
    head: Head,
    lines: Lines,
    fields: Fields,
    method: Range<usize>,
    path: Range<usize>,
    query: Option<Range<usize>>,
    host: Option<Range<usize>>,
}

impl RequestHead {
    /// Makes it ready for the next head.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    /// Reads on. Returns what follows the head once that is whole.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<Option<Body>, HeadFault> {
        while let Some(line) = self.lines.next(bytes)? {
            if !self.head.has_begun() {
                self.head.read_line(&bytes[line.clone()])?;
                if self.head.has_begun() {
                    self.read_request_line(bytes, &line)?;
                }
                continue;
            }
            if line.is_empty() {
                let body = self.head.end()?;
                // An older client may mean the rest of the connection (RFC 1945, section 7.2.2).
                let has_body = [&b"POST"[..], b"PUT", b"PATCH"].contains(&&bytes[self.method.clone()]);
                if body == Body::None && self.is_old() && has_body && !self.head.has_length() {
                    return Err(HeadFault::Malformed);
                }
                return Ok(Some(body));
            }
            let (name, value) = self.fields.read(bytes, line)?;
            self.head.read_field(name, value)?;
        }
        Ok(None)
    }

    /// Tells whether anything but empty lines has come of `bytes`.
    pub fn has_begun(&self, bytes: &[u8]) -> bool {
        self.head.has_begun() || bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// Returns how many bytes the head has.
    pub fn length(&self) -> usize {
        self.lines.taken()
    }

    /// Tells whether no request may follow this one (RFC 9112, section 9.3).
    pub fn is_last(&self) -> bool {
        self.head.is_last()
    }

    /// Tells whether it is of HTTP/1.0.
    pub fn is_old(&self) -> bool {
        self.head.is_old()
    }

    /// Returns the method.
    pub fn method<'a>(&self, bytes: &'a [u8]) -> &'a str {
        text(bytes, &self.method)
    }

    /// Returns the target's path, as it is written.
    pub fn path<'a>(&self, bytes: &'a [u8]) -> &'a str {
        if self.path.is_empty() { "/" } else { text(bytes, &self.path) }
    }

    /// Returns the target's query, without its question mark.
    pub fn query<'a>(&self, bytes: &'a [u8]) -> Option<&'a str> {
        self.query.as_ref().map(|query| text(bytes, query))
    }

    /// Returns the host that the request is for, with its port: an absolute target's (RFC 9112, section 3.2.2), or `Host`.
    pub fn host<'a>(&'a self, bytes: &'a [u8]) -> Option<&'a str> {
        let stated = || self.values(bytes, "host").next().and_then(|value| str::from_utf8(value).ok());
        self.host.as_ref().map(|host| text(bytes, host)).or_else(stated)
    }

    /// Returns names, in lower case, and values of all fields.
    pub fn fields<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter(bytes)
    }

    /// Returns the values of all fields of a name, which is given in lower case.
    pub fn values<'a>(&'a self, bytes: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.values(bytes, name)
    }

    /// Takes apart a line that was found to be good.
    fn read_request_line(&mut self, bytes: &[u8], line: &Range<usize>) -> Result<(), HeadFault> {
        let text = &bytes[line.clone()];
        let method = memchr(b' ', text).ok_or(Fault)?;
        let target = method + 1..method + 1 + memchr(b' ', &text[method + 1..]).ok_or(Fault)?;
        // Some readers end a target where one of these stands. Tunnels are for proxies that clients choose.
        let is_bad = |byte: &u8| matches!(byte, b'"' | b'<' | b'>');
        if target.len() > MAX_TARGET
            || text[target.clone()].iter().any(is_bad)
            || &text[..method] == b"CONNECT"
        {
            return Err(HeadFault::Malformed);
        }
        let place = |range: Range<usize>| line.start + range.start..line.start + range.end;
        let mut path = target.clone();
        if !matches!(text[target.start], b'/' | b'*')
            && let Some(slashes) = text[target.clone()].windows(3).position(|signs| signs == b"://")
        {
            let host = target.start + slashes + 3;
            let end = text[host..target.end].iter().position(|byte| matches!(byte, b'/' | b'?'));
            path.start = end.map_or(target.end, |end| host + end);
            self.host = Some(place(host..path.start));
        }
        if let Some(mark) = memchr(b'?', &text[path.clone()]) {
            let mark = path.start + mark;
            self.query = Some(place(mark + 1..path.end));
            path.end = mark;
        }
        self.method = place(0..method);
        self.path = place(path);
        Ok(())
    }
}

fn text<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a str {
    // Both are of what the request line may hold: ASCII.
    str::from_utf8(&bytes[range.clone()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head in pieces; returns what it says of what follows.
    fn read(bytes: &[u8], piece: usize) -> Result<(RequestHead, Vec<u8>, Body), HeadFault> {
        let mut head = RequestHead::default();
        let mut seen = Vec::new();
        for piece in bytes.chunks(piece) {
            seen.extend_from_slice(piece);
            if let Some(body) = head.read(&mut seen)? {
                return Ok((head, seen, body));
            }
        }
        panic!("it is not whole");
    }

    #[test]
    fn a_head_is_read_the_same_in_whatever_pieces_it_comes() {
        let text = b"\r\nPOST http://a.example:81/b/c?d=e?f HTTP/1.1\r\nHost: a.example:81\r\nX-Empty:\r\nX-Space: \t a  b \t\r\nContent-LENGTH:3\r\n\r\nabc";
        for piece in [1, 2, 5, 1024] {
            let (head, bytes, body) = read(text, piece).unwrap();
            assert_eq!(
                (head.method(&bytes), head.path(&bytes), head.query(&bytes)),
                ("POST", "/b/c", Some("d=e?f"))
            );
            assert_eq!(head.host(&bytes), Some("a.example:81"));
            let fields: Vec<_> = head.fields(&bytes).collect();
            let expected: [(&str, &[u8]); 4] =
                [("host", b"a.example:81"), ("x-empty", b""), ("x-space", b"a  b"), ("content-length", b"3")];
            assert_eq!(fields, expected);
            assert_eq!((body, head.length()), (Body::Sized(3), text.len() - 3));
        }
    }

    #[test]
    fn a_target_may_be_a_path_a_star_or_a_url_with_or_without_either() {
        for (target, path, query) in [
            ("/", "/", None),
            ("/?", "/", Some("")),
            ("*", "*", None),
            ("http://a", "/", None),
            ("http://a?b", "/", Some("b")),
            ("/x?http://b/c", "/x", Some("http://b/c")),
        ] {
            let method = if target == "*" { "OPTIONS" } else { "GET" };
            let text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let (head, bytes, _) = read(text.as_bytes(), 1024).unwrap();
            assert_eq!((head.path(&bytes), head.query(&bytes)), (path, query), "{target}");
        }
    }

    #[test]
    fn what_no_head_may_hold_is_refused() {
        let with = |line: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        for line in
            ["X A: b", "X-A : b", ": b", "X-A", "X-A: b\0", "X-A: b\rc", "X-A: b\x7f", " folded", "X-A: b\n"]
        {
            assert_eq!(read(with(line).as_bytes(), 7).err(), Some(HeadFault::Malformed), "{line:?}");
        }
        let long = "a".repeat(MAX_TARGET);
        assert_eq!(
            read(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), 4096).err(),
            Some(HeadFault::Malformed)
        );
        for line in ["X-A: b\r\n".repeat(96), format!("X-A: {}", "b".repeat(crate::MAX_HEAD))] {
            assert_eq!(read(with(&line).as_bytes(), 4096).err(), Some(HeadFault::TooLarge));
        }
    }
}
