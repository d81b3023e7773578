use std::sync::Arc;
use std::time::Duration;

use slipway_telemetry::{IntGauge, Metrics};

use crate::access::Guard;
use crate::domain::origin::Origins;
use crate::domain::proxies::TrustedProxies;
use crate::in_flight::InFlight;
use crate::limits::Limits;
use crate::pages::Health;
use crate::proxy::Hosts;
use crate::routes::Routes;
use crate::server::Tls;

/// What decides about requests and where they go.
pub(crate) struct Rules {
    /// Who may pass.
    pub(crate) guard: Guard,
    /// What goes where.
    pub(crate) routes: Arc<Routes>,
    /// Which host name is for functions.
    pub(crate) hosts: Hosts,
    /// How long a client may take nothing of an answer.
    pub(crate) answer_stall: Duration,
    /// Whose pages may use cookies.
    pub(crate) origins: Origins,
    /// Who is believed on whom they forward for.
    pub(crate) trusted_proxies: TrustedProxies,
    /// What is under way.
    pub(crate) in_flight: InFlight,
    /// How often callers may ask; nothing where that is not limited.
    pub(crate) limits: Option<Limits>,
    /// How the services are.
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    /// What connections begin with, where the gateway does TLS itself.
    pub(crate) tls: Option<Arc<Tls>>,
    /// How many sockets (RFC 6455) are open.
    pub(crate) sockets: IntGauge,
    /// After so long without a word from a client its WebSocket is pinged, and closed after as long again.
    pub(crate) socket_ping: Duration,
}

/// A WebSocket that is counted, until it is dropped.
pub(crate) struct CountedSocket<'a>(&'a IntGauge);

impl Rules {
    /// Counts a WebSocket.
    pub(crate) fn count_socket(&self) -> CountedSocket<'_> {
        self.sockets.inc();
        CountedSocket(&self.sockets)
    }
}

impl Drop for CountedSocket<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
