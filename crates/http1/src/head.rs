use memchr::memchr;

use crate::Fault;
use crate::fields::is_token;

/// What follows the head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The next request.
    None,
    /// A body of so many bytes.
    Sized(u64),
    /// A body in chunks.
    Chunked,
    /// What is no HTTP any more: a protocol that was switched to, or a tunnel.
    Opaque,
}

/// What the lines of a request's head have said so far of where the request ends, and whom it is for.
#[derive(Debug, Default)]
pub struct Head {
    line: Option<RequestLine>,
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
    persistence: Persistence,
    upgrade: Option<Upgrade>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RequestLine {
    is_old: bool,
    is_connect: bool,
    /// The host that an absolute target names.
    authority: Option<Vec<u8>>,
}

/// What `Connection` says of what follows the request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Persistence {
    #[default]
    Unsaid,
    Keep,
    /// It counts, whatever else is said.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    /// To WebSocket alone: whatever follows the head is for its frames.
    WebSocket,
    /// To WebSocket among others.
    Among,
}

impl Head {
    /// Tells whether no request may follow this one (RFC 9112, section 9.3).
    pub fn is_last(&self) -> bool {
        match self.persistence {
            Persistence::Close => true,
            Persistence::Keep => false,
            Persistence::Unsaid => self.line.as_ref().is_some_and(|line| line.is_old),
        }
    }

    /// Tells whether the request is of HTTP/1.0.
    pub fn is_old(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.is_old)
    }

    /// Tells whether a length is stated.
    pub(crate) fn has_length(&self) -> bool {
        self.length.is_some()
    }

    /// Tells whether there is a request line.
    pub fn has_begun(&self) -> bool {
        self.line.is_some()
    }

    /// Reads a line, without its end. Returns what follows the head once that is whole. Names and values that could
    /// mean nothing here are left to the server, which refuses control characters, folded lines and the like.
    pub fn read_line(&mut self, line: &[u8]) -> Result<Option<Body>, Fault> {
        if self.line.is_none() {
            // RFC 9112, section 2.2: empty lines before a request are ignored.
            if !line.is_empty() {
                self.line = Some(RequestLine::read(line)?);
            }
            return Ok(None);
        }
        if line.is_empty() {
            return self.end().map(Some);
        }
        let colon = memchr(b':', line).ok_or(Fault)?;
        self.read_field(&line[..colon], line[colon + 1..].trim_ascii())?;
        Ok(None)
    }

    /// Reads a field, after the request line.
    pub(crate) fn read_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let Some(request) = &self.line else { return Err(Fault) };
        // By length: most fields are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let is_for_another =
                    request.authority.as_ref().is_some_and(|stated| !stated.eq_ignore_ascii_case(value));
                if std::mem::replace(&mut self.has_host, true)
                    || is_for_another
                    || !(value.is_empty() || is_authority(value))
                {
                    return Err(Fault);
                }
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.read_upgrade(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.read_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = number(value).ok_or(Fault)?;
                if self.length.replace(length).is_some() {
                    return Err(Fault);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let is_second = std::mem::replace(&mut self.is_chunked, true);
                if is_second || request.is_old || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.persistence = Persistence::Close;
            } else if option.eq_ignore_ascii_case(b"keep-alive") && self.persistence == Persistence::Unsaid {
                self.persistence = Persistence::Keep;
            }
        }
    }

    fn read_upgrade(&mut self, value: &[u8]) {
        const WEBSOCKET: &[u8] = b"websocket";
        if value.eq_ignore_ascii_case(WEBSOCKET) {
            self.upgrade = Some(Upgrade::WebSocket);
        } else if value
            .split(|byte| *byte == b',')
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(WEBSOCKET))
        {
            self.upgrade = self.upgrade.or(Some(Upgrade::Among));
        }
    }

    /// Tells what follows the head, which ends here.
    pub(crate) fn end(&self) -> Result<Body, Fault> {
        let line = self.line.as_ref().ok_or(Fault)?;
        let has_body = self.is_chunked || self.length.is_some_and(|length| length > 0);
        if !line.is_old && !self.has_host || self.is_chunked && self.length.is_some() {
            return Err(Fault);
        }
        // RFC 6455, section 4.1, and RFC 9110, section 9.3.6: neither has one.
        if has_body && (self.upgrade.is_some() || line.is_connect) {
            return Err(Fault);
        }
        Ok(match self.length {
            _ if self.is_chunked => Body::Chunked,
            _ if line.is_connect || self.upgrade == Some(Upgrade::WebSocket) => Body::Opaque,
            Some(length @ 1..) => Body::Sized(length),
            _ => Body::None,
        })
    }
}

impl RequestLine {
    /// RFC 9112, section 3.
    fn read(line: &[u8]) -> Result<Self, Fault> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault);
        };
        let is_connect = method == b"CONNECT";
        let is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Fault),
        };
        // RFC 3986 has neither in a target: a fragment stays with the client.
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || !target.iter().all(is_plain) {
            return Err(Fault);
        }
        let authority = match target {
            authority if is_connect => is_authority(authority).then_some(None).ok_or(Fault)?,
            [b'/', ..] => None,
            b"*" if method == b"OPTIONS" => None,
            absolute => Some(authority(absolute).ok_or(Fault)?.to_vec()),
        };
        Ok(Self { is_old, is_connect, authority })
    }
}

/// Returns the host of an absolute target.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', target)?;
    let (scheme, rest) = (&target[..colon], target[colon..].strip_prefix(b"://")?);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let is_web = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    Some(&rest[..end]).filter(|authority| is_web && is_authority(authority))
}

/// Tells a host with or without a port (RFC 9110, section 7.2): a name, an IPv4 address, or an IPv6 address in brackets.
/// Names that hold more than letters, digits, hyphens, underscores and dots are no names of hosts.
fn is_authority(text: &[u8]) -> bool {
    let after = if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = memchr(b']', rest) else { return false };
        let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        if end == 0 || !rest[..end].iter().all(is_address) {
            return false;
        }
        &rest[end + 1..]
    } else {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let end = text.iter().position(|byte| !is_name(byte)).unwrap_or(text.len());
        if end == 0 {
            return false;
        }
        &text[end..]
    };
    match after {
        [] => true,
        [b':', port @ ..] => port.is_empty() || number(port).is_some_and(|port| u16::try_from(port).is_ok()),
        _ => false,
    }
}

/// Reads digits and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}
