//! What a service sees of a request.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use slipway_http1::Body;
use slipway_models::auth::{ORIGIN_ALLOWED, ORIGIN_HEADER, REFRESH_COOKIE};
use slipway_web::TIMEOUT_HEADER;
use uuid::Uuid;

use super::Exchange;
use super::request::Request;
use super::said::{write_address, write_field, write_number_field};
use crate::access::{Admitted, Credential, Guard};
use crate::domain::headers::{Listed, names_signing_key, passes_inward};
use crate::in_flight::Place;
use crate::routes::Route;

/// A request that passes.
pub(super) struct Plan {
    pub(super) route: Arc<Route>,
    /// The request line.
    line: Vec<u8>,
    /// The headers but `Host`, with the empty line.
    fields: Vec<u8>,
    /// RFC 9110, section 9.2.2.
    pub(super) is_idempotent: bool,
    /// Whether functions' content is answered on the platform's own host name: a browser takes the two for one then.
    pub(super) is_beside_platform: bool,
    /// Whether it asks to switch to WebSocket, on a route that lets it.
    pub(super) is_switch: bool,
    /// What the caller showed.
    credential: Option<Credential>,
    /// The request keeps its place until its end.
    _place: Place,
}

/// Who a request comes from, and what of them the service learns.
pub(super) struct Sender<'a> {
    pub(super) client_address: IpAddr,
    /// What the client speaks to the gateway.
    pub(super) scheme: &'static str,
    pub(super) caller: Option<Admitted>,
    /// Whether the service may be asked to switch to WebSocket.
    pub(super) is_switch: bool,
    /// Whether the service is told that the request's origin may use cookies.
    pub(super) is_origin_told: bool,
    pub(super) refresh_cookie: Option<&'a str>,
}

impl Plan {
    pub(super) fn new(
        request: &Request<'_>,
        exchange: &Exchange,
        (route, is_beside_platform): (Arc<Route>, bool),
        path: &str,
        body: Body,
        sender: Sender<'_>,
        place: Place,
    ) -> Self {
        let method = request.method();
        let mut line = Vec::with_capacity(256);
        for part in [method, " ", path] {
            line.extend_from_slice(part.as_bytes());
        }
        if let Some(query) = request.query() {
            line.push(b'?');
            line.extend_from_slice(query.as_bytes());
        }
        line.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        let mut fields = Vec::with_capacity(2048);
        copy_fields(&mut fields, request, &route);
        add_fields(&mut fields, exchange, body, &sender, request.host());
        fields.extend_from_slice(b"\r\n");
        Self {
            route,
            line,
            fields,
            is_idempotent: matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
            is_beside_platform,
            is_switch: sender.is_switch,
            credential: sender.caller.map(|caller| caller.credential),
            _place: place,
        }
    }

    /// Tells whether the caller's session or key has ended since the request came.
    pub(super) fn is_revoked(&self, guard: &Guard) -> bool {
        self.credential.as_ref().is_some_and(|credential| guard.is_revoked(credential))
    }

    /// Writes the head for one replica, which is told how long its answer is waited for where that is known.
    pub(super) fn write(&self, to: &mut Vec<u8>, authority: &str, within: Option<Duration>) {
        to.extend_from_slice(&self.line);
        to.extend_from_slice(authority.as_bytes());
        to.extend_from_slice(b"\r\n");
        if let Some(within) = within {
            let milliseconds = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            write_number_field(to, TIMEOUT_HEADER, milliseconds);
        }
        to.extend_from_slice(&self.fields);
    }
}

fn copy_fields(to: &mut Vec<u8>, request: &Request<'_>, route: &Route) {
    let listed = Listed::in_connection(request.values("connection"));
    for (name, value) in request.headers() {
        let signs = route.is_content && names_signing_key(name, value, &listed);
        if signs || passes_inward(name, &listed) {
            write_field(to, name, value);
        }
    }
}

fn add_fields(to: &mut Vec<u8>, exchange: &Exchange, body: Body, sender: &Sender<'_>, host: Option<&str>) {
    write_field(to, "traceparent", &exchange.trace.traceparent());
    if let Some(state) = &exchange.tracestate {
        write_field(to, "tracestate", state.as_bytes());
    }
    write_field(to, "x-request-id", exchange.id.as_str().as_bytes());
    let Sender { client_address, scheme, .. } = sender;
    to.extend_from_slice(b"x-forwarded-for: ");
    let start = to.len();
    write_address(to, *client_address);
    let address = start..to.len();
    to.extend_from_slice(b"\r\nvia: 1.1 slipway\r\n");
    let host = host.unwrap_or_default().as_bytes();
    write_field(to, "x-forwarded-proto", scheme.as_bytes());
    write_field(to, "x-forwarded-host", host);
    // RFC 7239, section 6: an IPv6 address is in brackets, and so in quotes.
    let around: [&[u8]; 2] = if client_address.is_ipv6() { [b"\"[", b"]\""] } else { [b"", b""] };
    to.extend_from_slice(b"forwarded: for=");
    to.extend_from_slice(around[0]);
    to.extend_from_within(address);
    for part in [around[1], b";host=\"", host, b"\";proto=", scheme.as_bytes(), b"\r\n"] {
        to.extend_from_slice(part);
    }
    match body {
        Body::Sized(length) => write_number_field(to, "content-length", length),
        Body::Chunked => write_field(to, "transfer-encoding", b"chunked"),
        Body::None | Body::Opaque => {}
    }
    if sender.is_switch {
        to.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    }
    if let Some(caller) = &sender.caller {
        to.extend_from_slice(b"authorization: Bearer ");
        to.extend_from_slice(caller.identity.as_bytes());
        to.extend_from_slice(b"\r\n");
        let mut text = Uuid::encode_buffer();
        let user = caller.user_id.as_uuid().hyphenated().encode_lower(&mut text);
        write_field(to, "x-user-id", user.as_bytes());
    }
    if sender.is_origin_told {
        write_field(to, ORIGIN_HEADER, ORIGIN_ALLOWED.as_bytes());
    }
    if let Some(token) = sender.refresh_cookie {
        let _ = write!(to, "cookie: {REFRESH_COOKIE}={token}\r\n");
    }
}
