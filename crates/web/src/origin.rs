use std::convert::Infallible;
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Ready, ready};
use slipway_kernel::{Origin, SealedAddress};
use slipway_models::audit::ORIGIN;
use slipway_sealing::AddressSeal;

use crate::RequestIdText;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where the request came from, for the audit trail. It is no proof of anything.
#[derive(Debug, Clone)]
pub struct RequestOrigin(pub Origin);

impl RequestOrigin {
    /// Returns where a request came from. Its address is sealed with the [`AddressSeal`] of the app's data; without one it
    /// is left out.
    pub fn of(request: &HttpRequest) -> Origin {
        let seal = request.app_data::<Data<AddressSeal>>();
        let sealed = seal.zip(Self::address_of(request)).and_then(|(seal, address)| {
            let sealed = seal.seal(ORIGIN, address);
            sealed.inspect_err(|fault| tracing::error!(error = %fault, "an address was not sealed")).ok()
        });
        Origin {
            address: sealed.map(SealedAddress::new),
            request_id: RequestIdText::of(request).as_str().to_owned(),
        }
    }

    /// Returns the address that a request came from: the one that the gateway wrote down, which takes away what clients
    /// say of theirs, or else the peer's.
    pub fn address_of(request: &HttpRequest) -> Option<IpAddr> {
        forwarded(request).or_else(|| request.peer_addr().map(|peer| peer.ip()))
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
            let address = RequestOrigin::address_of(&request.peer_addr(peer).to_http_request());
            address.map(|address| address.to_string()).unwrap_or_default()
        };
        let forwarded = |value| address(TestRequest::default().insert_header((FORWARDED_FOR, value)));
        assert_eq!(address(TestRequest::default()), "127.0.0.1");
        assert_eq!(forwarded("203.0.113.7"), "203.0.113.7");
        assert_eq!(forwarded("198.51.100.1, 2001:db8::1"), "2001:db8::1");
        assert_eq!(forwarded("somewhere"), "127.0.0.1");
    }
}
