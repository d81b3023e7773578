use std::convert::Infallible;
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Ready, ready};
use slipway_kernel::Origin;

use crate::RequestIdText;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where the request came from, for the audit trail. It is no proof of anything.
#[derive(Debug, Clone)]
pub struct RequestOrigin(pub Origin);

impl RequestOrigin {
    /// Returns where a request came from: the address that the gateway wrote down, which takes away what clients say of
    /// theirs, or else the peer's.
    pub fn of(request: &HttpRequest) -> Origin {
        let peer = request.peer_addr().map(|peer| peer.ip());
        Origin {
            address: forwarded(request).or(peer),
            request_id: RequestIdText::of(request).as_str().to_owned(),
        }
    }
}

impl FromRequest for RequestOrigin {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Self::of(request))))
    }
}

/// The last entry is the nearest proxy's own.
fn forwarded(request: &HttpRequest) -> Option<IpAddr> {
    let last = request.headers().get_all(FORWARDED_FOR).last()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_gateways_word_counts_before_the_peers() {
        let peer = "127.0.0.1:4711".parse().unwrap();
        let address = |request: TestRequest| {
            let origin = RequestOrigin::of(&request.peer_addr(peer).to_http_request());
            origin.address.map(|address| address.to_string()).unwrap_or_default()
        };
        let forwarded = |value| address(TestRequest::default().insert_header((FORWARDED_FOR, value)));
        assert_eq!(address(TestRequest::default()), "127.0.0.1");
        assert_eq!(forwarded("203.0.113.7"), "203.0.113.7");
        assert_eq!(forwarded("198.51.100.1, 2001:db8::1"), "2001:db8::1");
        assert_eq!(forwarded("somewhere"), "127.0.0.1");
    }
}
