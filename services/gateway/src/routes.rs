//! The one table of what the gateway serves, and how.

use std::time::Duration;

use actix_web::guard::fn_guard;
use actix_web::web::{ServiceConfig, get, to};
use slipway_web::resource;

use crate::handlers::{self, Hosts};

/// Where requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Accounts, sign-in, tokens.
    Auth,
    /// The function-runner.
    Functions,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody; a token is not looked at.
    Public,
    /// Whoever shows a valid access token; an API key is none.
    SignedIn,
    /// Whoever shows one that grants this app, or an API key with a scope of it.
    App(&'static str),
    /// Anybody; whoever shows a valid one that grants this app is known to the service.
    Optional(&'static str),
}

/// What a service learns of the platform's own cookies, and of the page that sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// Nothing.
    Kept,
    /// Whether the request's origin may use cookies: the service sets some.
    Origin,
    /// That, and the refresh token. Who shows one may come without an access token.
    RefreshToken,
}

/// How a route's requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// By account, or by address.
    Usual,
    /// By the service itself, which knows more of them (ADR 25).
    OfService,
}

/// What goes where, and within which bounds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// A canonical path; what lies below it belongs to the route too.
    pub(crate) prefix: &'static str,
    pub(crate) upstream: Upstream,
    pub(crate) access: Access,
    /// The most bytes of a request's body.
    pub(crate) body_limit: u64,
    /// From the start of the request to the head of the answer, and between two pieces of its body.
    pub(crate) timeout: Duration,
    /// Whether what it answers is what users' functions say: hostile content.
    pub(crate) is_content: bool,
    pub(crate) cookies: Cookies,
    pub(crate) limit: Limit,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const QUICK: Duration = Duration::from_secs(30);
/// The longest a function may run (900 s), and a build that is waited for, with room for the way.
const LONG: Duration = Duration::from_secs(930);

/// The longest prefix that matches decides.
const ROUTES: [Route; 21] = [
    auth("/api/v1/auth", Access::SignedIn),
    counting_itself("/api/v1/auth/register"),
    counting_itself("/api/v1/auth/prelogin"),
    counting_itself("/api/v1/auth/password/forgot"),
    counting_itself("/api/v1/auth/password/reset"),
    counting_itself("/api/v1/auth/email/verify"),
    Route { cookies: Cookies::Origin, ..counting_itself("/api/v1/auth/login") },
    Route { cookies: Cookies::RefreshToken, ..counting_itself("/api/v1/auth/refresh") },
    Route { cookies: Cookies::RefreshToken, ..auth("/api/v1/auth/logout", Access::SignedIn) },
    auth("/api/v1/auth/jwks.json", Access::Public),
    auth("/api/v1/api-keys", Access::SignedIn),
    auth("/api/v1/users", Access::SignedIn),
    auth("/api/v1/profile", Access::SignedIn),
    auth("/api/v1/admin", Access::SignedIn),
    auth("/api/v1/groups", Access::SignedIn),
    // Verifying a long log takes its time.
    Route { timeout: LONG, ..auth("/api/v1/audit", Access::SignedIn) },
    functions("/api/v1/functions", 8 * MIB),
    functions("/api/v1/functions/deploy", 64 * MIB),
    functions("/api/v1/executions", 64 * KIB),
    functions("/api/v1/deployments", 64 * KIB),
    Route { access: Access::Optional("functions"), is_content: true, ..functions("/f", 8 * MIB) },
];

const fn auth(prefix: &'static str, access: Access) -> Route {
    Route {
        prefix,
        upstream: Upstream::Auth,
        access,
        body_limit: 64 * KIB,
        timeout: QUICK,
        is_content: false,
        cookies: Cookies::Kept,
        limit: Limit::Usual,
    }
}

const fn counting_itself(prefix: &'static str) -> Route {
    Route { limit: Limit::OfService, ..auth(prefix, Access::Public) }
}

const fn functions(prefix: &'static str, body_limit: u64) -> Route {
    Route {
        prefix,
        upstream: Upstream::Functions,
        access: Access::App("functions"),
        body_limit,
        timeout: LONG,
        is_content: false,
        cookies: Cookies::Kept,
        limit: Limit::Usual,
    }
}

/// Finds the route of a canonical path.
pub(crate) fn find(path: &str) -> Option<&'static Route> {
    let covers = |route: &&Route| {
        path.strip_prefix(route.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ROUTES.iter().filter(covers).max_by_key(|route| route.prefix.len())
}

/// What the gateway answers itself; everything else is proxied by the table.
///
/// The host of functions has none of these pages.
pub(crate) fn configure(app: &mut ServiceConfig, hosts: &Hosts) {
    let page = |path: &str| {
        let hosts = hosts.clone();
        resource(path).guard(fn_guard(move |context| !hosts.is_functions_own(context.head())))
    };
    app.service(page("/health").route(get().to(handlers::health)))
        .service(page("/api/openapi.json").route(get().to(handlers::openapi)))
        .service(page("/api/v1/openapi.json").route(get().to(handlers::openapi)))
        .service(page("/api/docs").route(get().to(handlers::docs)))
        .service(page("/api/docs/{file}").route(get().to(handlers::docs_file)))
        .default_service(to(handlers::proxy));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::path::canonicalise;

    #[test]
    fn the_longest_prefix_decides_and_ends_at_a_segment() {
        assert_eq!(find("/api/v1/auth/login").map(|route| route.access), Some(Access::Public));
        assert_eq!(find("/api/v1/auth/sessions").map(|route| route.access), Some(Access::SignedIn));
        assert_eq!(find("/api/v1/auth/loginx").map(|route| route.access), Some(Access::SignedIn));
        assert_eq!(find("/api/v1/functions/deploy").map(|route| route.body_limit), Some(64 * MIB));
        assert_eq!(find("/api/v1/functions/deployx").map(|route| route.body_limit), Some(8 * MIB));
        assert_eq!(find("/f/ada/hello/x").map(|route| route.access), Some(Access::Optional("functions")));
        for path in
            ["/", "/fx", "/api", "/api/v1", "/api/v1/functionsx", "/internal/revocations", "/api/v2/auth"]
        {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn the_refresh_cookie_goes_to_two_routes_of_auth_alone() {
        let passes = |route: &&Route| route.cookies == Cookies::RefreshToken;
        let prefixes: Vec<_> = ROUTES.iter().filter(passes).map(|route| route.prefix).collect();
        assert_eq!(prefixes, ["/api/v1/auth/refresh", "/api/v1/auth/logout"]);
        for other in
            ["/api/v1/auth/login", "/api/v1/auth/logout-all", "/api/v1/auth/sessions", "/f/ada/hello"]
        {
            assert!(find(other).is_some_and(|route| !passes(&route)), "{other}");
        }
    }

    #[test]
    fn every_route_is_canonical_and_unlike_the_others() {
        for (index, route) in ROUTES.iter().enumerate() {
            assert_eq!(canonicalise(route.prefix).as_deref(), Ok(route.prefix));
            assert!(ROUTES[..index].iter().all(|other| other.prefix != route.prefix), "{}", route.prefix);
        }
    }
}
