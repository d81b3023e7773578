//! The one table of what the gateway serves, and how: the platform's own routes, and those of `gateway.toml`.

mod file;
mod reload;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::uri::Authority;
use slipway_jwt::ServiceName;

pub(crate) use self::file::{AddedRoute, RoutesFile, authority};
pub(crate) use self::reload::Reload;
use crate::limits::LimitClass;
use crate::series::{Families, RouteSeries};
use crate::upstream::Replicas;

/// What stands behind routes.
pub(crate) struct Service {
    /// For whom callers' identities are signed.
    pub(crate) name: ServiceName,
    pub(crate) replicas: Replicas,
}

impl Service {
    pub(crate) fn new(
        name: ServiceName,
        addresses: impl IntoIterator<Item = Authority>,
        families: &Families,
    ) -> Self {
        let replicas = Replicas::new(addresses, families.of_service(&name.to_string()));
        Self { name, replicas }
    }
}

/// The platform's own services.
#[derive(Clone)]
pub(crate) struct Services {
    /// Accounts, sign-in, tokens.
    pub(crate) auth: Arc<Service>,
    /// The function-runner.
    pub(crate) functions: Arc<Service>,
}

impl Services {
    /// Makes services that nobody answers for.
    #[cfg(any(test, fuzzing))]
    #[expect(clippy::unwrap_used, reason = "these are names of services")]
    pub(crate) fn nowhere(families: &Families) -> Self {
        let service = |name: &str| {
            let address = Authority::from_static("127.0.0.1:1");
            Arc::new(Service::new(name.parse().unwrap(), [address], families))
        };
        Self { auth: service("auth"), functions: service("functions") }
    }
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
    /// Anybody; whoever shows a valid one, that grants this app where one is named, is known to the service.
    Optional(Option<&'static str>),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Limit {
    /// By account, or by address, together with those of other such routes.
    Usual,
    /// Likewise, together with those of the routes of its class.
    Class(Arc<LimitClass>),
    /// Not here: the service counts by itself, if it does (ADR 25).
    None,
}

/// What goes where, and within which bounds.
pub(crate) struct Route {
    /// A canonical path; what lies below it belongs to the route too.
    pub(crate) prefix: Arc<str>,
    pub(crate) service: Arc<Service>,
    pub(crate) access: Access,
    /// The most bytes of a request's body.
    pub(crate) body_limit: u64,
    /// From the start of the request to the head of the answer, and between two pieces of its body.
    pub(crate) timeout: Duration,
    /// Whether what it answers is what users' functions say: hostile content.
    pub(crate) is_content: bool,
    pub(crate) cookies: Cookies,
    pub(crate) limit: Limit,
    /// Whether a request may switch to WebSocket.
    pub(crate) is_websocket: bool,
    pub(crate) series: RouteSeries,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const QUICK: Duration = Duration::from_secs(30);
/// The longest a function may run (900 s), and a build that is waited for, with room for the way.
const LONG: Duration = Duration::from_secs(930);

/// All routes, those with long prefixes first.
pub(crate) struct RouteTable(Vec<Arc<Route>>);

impl RouteTable {
    /// Makes the table of the platform's routes and of those that were added.
    pub(crate) fn new(services: &Services, added: &[AddedRoute], families: &Families) -> Self {
        let mut routes = own_routes(services, families);
        routes.extend(file::to_routes(added, families));
        routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        Self(routes.into_iter().map(Arc::new).collect())
    }

    /// Makes the table of the platform's routes alone, which lead nowhere.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_the_platform() -> Self {
        let families = Families::of_nobody();
        Self::new(&Services::nowhere(&families), &[], &families)
    }

    /// Finds the route of a canonical path: that with the longest prefix.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| covers(&route.prefix, path))
    }
}

/// Tells whether a path is a prefix, or lies below it.
fn covers(prefix: &str, path: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The table as it is at the moment.
pub(crate) struct Routes(RwLock<Arc<RouteTable>>);

impl Routes {
    pub(crate) fn new(table: RouteTable) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// Finds the route of a canonical path. A request keeps the one that it found, whatever comes after.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Route>> {
        let table = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        table.find(path).cloned()
    }

    fn replace(&self, table: RouteTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

/// What the gateway answers itself, on any host but functions' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnPage {
    /// How the services are.
    Health,
    /// The document of the API.
    OpenApi,
    /// The page that shows it, and what that is made of.
    Docs,
    DocsScript,
    DocsStyle,
}

/// Finds the page of a path, as it is written.
pub(crate) fn own_page(path: &str) -> Option<OwnPage> {
    Some(match path {
        "/health" => OwnPage::Health,
        "/api/openapi.json" | "/api/v1/openapi.json" => OwnPage::OpenApi,
        "/api/docs" => OwnPage::Docs,
        "/api/docs/docs.js" => OwnPage::DocsScript,
        "/api/docs/docs.css" => OwnPage::DocsStyle,
        _ => return None,
    })
}

/// The platform's own routes.
fn own_routes(services: &Services, families: &Families) -> Vec<Route> {
    let auth = |prefix: &str, access| Route {
        prefix: prefix.into(),
        service: Arc::clone(&services.auth),
        access,
        body_limit: 64 * KIB,
        timeout: QUICK,
        is_content: false,
        cookies: Cookies::Kept,
        limit: Limit::Usual,
        is_websocket: false,
        series: families.of_route(prefix),
    };
    let counting_itself = |prefix| Route { limit: Limit::None, ..auth(prefix, Access::Public) };
    let functions = |prefix: &str, body_limit| Route {
        prefix: prefix.into(),
        service: Arc::clone(&services.functions),
        access: Access::App("functions"),
        body_limit,
        timeout: LONG,
        is_content: false,
        cookies: Cookies::Kept,
        limit: Limit::Usual,
        is_websocket: false,
        series: families.of_route(prefix),
    };
    vec![
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
        Route { access: Access::Optional(Some("functions")), is_content: true, ..functions("/f", 8 * MIB) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::path::canonicalise;

    #[test]
    fn the_longest_prefix_decides_and_ends_at_a_segment() {
        let table = RouteTable::of_the_platform();
        let access = |path| table.find(path).map(|route| route.access);
        let body_limit = |path| table.find(path).map(|route| route.body_limit);
        assert_eq!(access("/api/v1/auth/login"), Some(Access::Public));
        assert_eq!(access("/api/v1/auth/sessions"), Some(Access::SignedIn));
        assert_eq!(access("/api/v1/auth/loginx"), Some(Access::SignedIn));
        assert_eq!(body_limit("/api/v1/functions/deploy"), Some(64 * MIB));
        assert_eq!(body_limit("/api/v1/functions/deployx"), Some(8 * MIB));
        assert_eq!(access("/f/ada/hello/x"), Some(Access::Optional(Some("functions"))));
        for path in
            ["/", "/fx", "/api", "/api/v1", "/api/v1/functionsx", "/internal/revocations", "/api/v2/auth"]
        {
            assert_eq!(access(path), None, "{path}");
        }
    }

    #[test]
    fn the_refresh_cookie_goes_to_two_routes_of_auth_alone() {
        let table = RouteTable::of_the_platform();
        let passes = |route: &&Arc<Route>| route.cookies == Cookies::RefreshToken;
        let mut prefixes: Vec<_> = table.0.iter().filter(passes).map(|route| &*route.prefix).collect();
        prefixes.sort_unstable();
        assert_eq!(prefixes, ["/api/v1/auth/logout", "/api/v1/auth/refresh"]);
        for other in
            ["/api/v1/auth/login", "/api/v1/auth/logout-all", "/api/v1/auth/sessions", "/f/ada/hello"]
        {
            assert!(table.find(other).is_some_and(|route| !passes(&route)), "{other}");
        }
    }

    #[test]
    fn every_route_is_canonical_and_unlike_the_others() {
        let table = RouteTable::of_the_platform();
        for (index, route) in table.0.iter().enumerate() {
            assert_eq!(canonicalise(&route.prefix).as_deref(), Ok(&*route.prefix));
            assert!(table.0[..index].iter().all(|other| other.prefix != route.prefix), "{}", route.prefix);
        }
    }

    #[test]
    fn a_route_of_everything_leaves_the_others_theirs() {
        let added =
            file::read("[[route]]\nprefix = '/'\nservice = 'site'\nupstreams = ['http://10.0.0.1:80']");
        let mut table = RouteTable::of_the_platform();
        table.0.extend(file::to_routes(&added.unwrap(), &Families::of_nobody()).into_iter().map(Arc::new));
        let service = |path| table.find(path).map(|route| route.service.name.to_string());
        assert_eq!(service("/").as_deref(), Some("site"));
        assert_eq!(service("/about/us").as_deref(), Some("site"));
        assert_eq!(service("/api/v1/auth/login").as_deref(), Some("auth"));
        assert_eq!(service("/f/ada/hello").as_deref(), Some("functions"));
    }
}
