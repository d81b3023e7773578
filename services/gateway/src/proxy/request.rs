use std::borrow::Cow;
use std::net::IpAddr;

use slipway_http1::RequestHead;

/// A request's head, as a client sent it.
pub(crate) struct Request<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
    /// Where the connection comes from.
    pub(super) peer: IpAddr,
}

impl<'a> Request<'a> {
    /// Takes the head that `bytes` begin with.
    pub(super) fn new(head: &'a RequestHead, bytes: &'a [u8], peer: IpAddr) -> Self {
        Self { head, bytes, peer }
    }

    pub(crate) fn method(&self) -> &'a str {
        self.head.method(self.bytes)
    }

    pub(crate) fn path(&self) -> &'a str {
        self.head.path(self.bytes)
    }

    pub(super) fn query(&self) -> Option<&'a str> {
        self.head.query(self.bytes)
    }

    /// Returns the host that it is for, with its port.
    pub(super) fn host(&self) -> Option<&'a str> {
        self.head.host(self.bytes)
    }

    /// Returns names, in lower case, and values of all headers.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.head.fields(self.bytes)
    }

    /// Returns the values of all headers of a name.
    pub(super) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.head.values(self.bytes, name)
    }

    /// Returns the first value of a header as text, where it is some.
    pub(super) fn text(&self, name: &'static str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| str::from_utf8(value).ok())
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.values(name).next().is_some()
    }
}

/// Keeps a method beyond the request. Those that are known cost nothing.
pub(super) fn known(method: &str) -> Cow<'static, str> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    match KNOWN.iter().find(|known| **known == method) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(method.to_owned()),
    }
}
