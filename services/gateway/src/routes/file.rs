//! `gateway.toml`: routes to services of the operator's own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use serde::Deserialize;
use slipway_jwt::ServiceName;
use slipway_limits::Quota;
use slipway_models::groups::App;

use super::{Access, Cookies, Limit, MIB, QUICK, Route, Service, covers};
use crate::domain::path::canonicalise;
use crate::limits::{LimitClass, MAX_LIMIT, MINUTE};
use crate::series::Families;
use crate::watch::Stamps;

/// No file of routes comes near it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
const MAX_BODY_MIB: u64 = 10 * 1024;
const MAX_TIMEOUT_SECONDS: u64 = 3_600;
const MAX_CLASS_NAME: usize = 32;
/// The class that routes have which name none, and what those name that are not counted here.
const USUAL: &str = "usual";
const NONE: &str = "none";

/// What lies here is the platform's own.
const RESERVED: [&str; 6] = ["/api/v1", "/api/docs", "/api/openapi.json", "/f", "/health", "/internal"];
/// Who trusts identities that are signed for these is the platform itself.
const PLATFORM: [&str; 8] =
    ["agent", "auth", "documents", "functions", "gateway", "tasks", "vault", "workspace"];

/// A route that the operator added, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddedRoute {
    prefix: String,
    service: ServiceName,
    upstreams: Vec<Authority>,
    access: Access,
    body_limit: u64,
    timeout: Duration,
    limit: Limit,
    is_websocket: bool,
}

/// Says all that is wrong with a file of routes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RoutesFault(Vec<String>);

impl fmt::Display for RoutesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for RoutesFault {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    limit: Vec<LimitEntry>,
    #[serde(default)]
    route: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitEntry {
    name: String,
    per_address: u64,
    per_account: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    prefix: String,
    service: String,
    upstreams: Vec<String>,
    #[serde(default)]
    auth: Auth,
    app: Option<String>,
    body_limit_mib: Option<u64>,
    timeout_seconds: Option<u64>,
    limit: Option<String>,
    #[serde(default)]
    websocket: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Auth {
    #[default]
    Required,
    Optional,
    None,
}

/// A file of routes, and the state that it was last read in.
#[derive(Debug, Clone)]
pub(crate) struct RoutesFile {
    path: PathBuf,
    seen: Option<Stamps>,
}

impl RoutesFile {
    /// Names a file that was not read yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether it is not as it was when it was last read.
    pub(crate) fn has_changed(&self) -> bool {
        self.seen.as_ref().is_none_or(Stamps::have_changed)
    }

    /// Reads and checks it. Its state is that of before: what is written meanwhile has changed it.
    pub(crate) fn load(&mut self) -> Result<Vec<AddedRoute>, RoutesFault> {
        self.seen = Some(Stamps::of([self.path.clone()]));
        let fault = |fault: &dyn fmt::Display| RoutesFault(vec![format!("{}: {fault}", self.path.display())]);
        let size = self.path.metadata().map_err(|cause| fault(&cause))?.len();
        if size > MAX_FILE_BYTES {
            return Err(fault(&format_args!("is larger than {MAX_FILE_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(&self.path).map_err(|cause| fault(&cause))?;
        read(&text)
    }
}

/// Reads routes, and names all that is wrong with them.
pub(super) fn read(text: &str) -> Result<Vec<AddedRoute>, RoutesFault> {
    let file: File = toml::from_str(text).map_err(|fault| RoutesFault(vec![fault.to_string()]))?;
    let mut faults = Vec::new();
    let mut classes: Vec<Arc<LimitClass>> = Vec::new();
    for entry in file.limit {
        match check_limit(&entry, &classes) {
            Ok(class) => classes.push(Arc::new(class)),
            Err(fault) => faults.push(format!("limit {}: {fault}", entry.name)),
        }
    }
    let mut routes: Vec<AddedRoute> = Vec::new();
    for entry in file.route {
        let prefix = entry.prefix.clone();
        match check(entry, &classes, &routes) {
            Ok(route) => routes.push(route),
            Err(wrong) => faults.extend(wrong.into_iter().map(|fault| format!("route {prefix}: {fault}"))),
        }
    }
    if faults.is_empty() { Ok(routes) } else { Err(RoutesFault(faults)) }
}

fn check_limit(entry: &LimitEntry, before: &[Arc<LimitClass>]) -> Result<LimitClass, String> {
    let is_sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=MAX_CLASS_NAME).contains(&entry.name.len()) || !entry.name.bytes().all(is_sign) {
        return Err(format!("the name must be of 1 to {MAX_CLASS_NAME} of the signs a-z, 0-9 and -"));
    }
    if [USUAL, NONE].contains(&entry.name.as_str()) {
        return Err("the name has a meaning of its own".to_owned());
    }
    if before.iter().any(|other| *other.name == entry.name) {
        return Err("there are two of this name".to_owned());
    }
    let quota = |field: &str, limit: u64| match u32::try_from(limit) {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(Quota::new(limit, MINUTE)),
        _ => Err(format!("{field} must be from 1 to {MAX_LIMIT}")),
    };
    let per_address = quota("per_address", entry.per_address)?;
    Ok(LimitClass::new(&entry.name, per_address, quota("per_account", entry.per_account)?))
}

fn limit(name: Option<&str>, classes: &[Arc<LimitClass>]) -> Result<Limit, String> {
    match name {
        None | Some(USUAL) => Ok(Limit::Usual),
        Some(NONE) => Ok(Limit::None),
        Some(name) => match classes.iter().find(|class| *class.name == *name) {
            Some(class) => Ok(Limit::Class(Arc::clone(class))),
            None => Err(format!("there is no limit {name}: name one of a [[limit]], {USUAL} or {NONE}")),
        },
    }
}

fn check(
    entry: Entry,
    classes: &[Arc<LimitClass>],
    before: &[AddedRoute],
) -> Result<AddedRoute, Vec<String>> {
    let mut faults = Vec::new();
    match canonicalise(&entry.prefix) {
        Err(fault) => faults.push(fault.to_string()),
        Ok(form) if form != entry.prefix => faults.push(format!("the prefix has to be written {form}")),
        Ok(_) if entry.prefix.len() > 1 && entry.prefix.ends_with('/') => {
            faults.push("the prefix must not end in /".to_owned());
        }
        Ok(_) => {}
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| covers(reserved, &entry.prefix)) {
        faults.push(format!("what lies at {reserved} is the platform's own"));
    }
    if before.iter().any(|other| other.prefix == entry.prefix) {
        faults.push("there are two routes of this prefix".to_owned());
    }
    let service = match entry.service.parse::<ServiceName>() {
        Ok(name) if !PLATFORM.contains(&entry.service.as_str()) => Some(name),
        Ok(_) => {
            faults.push(format!("{} is a service of the platform's own", entry.service));
            None
        }
        Err(fault) => {
            faults.push(format!("service: {fault}"));
            None
        }
    };
    let mut upstreams = Vec::new();
    for url in &entry.upstreams {
        match authority(url) {
            Some(authority) if upstreams.contains(&authority) => {
                faults.push(format!("{url} stands here twice"));
            }
            Some(authority) => upstreams.push(authority),
            None => faults.push(format!("upstream {url} must be of the form http://host:port")),
        }
    }
    if entry.upstreams.is_empty() {
        faults.push("upstreams must name at least one".to_owned());
    }
    if let Some(other) = before.iter().find(|other| other.service.to_string() == entry.service)
        && other.upstreams != upstreams
    {
        faults.push(format!("{} has other upstreams at {}", entry.service, other.prefix));
    }
    let access = access(entry.auth, entry.app.as_deref()).unwrap_or_else(|fault| {
        faults.push(fault);
        Access::SignedIn
    });
    let limit = limit(entry.limit.as_deref(), classes).unwrap_or_else(|fault| {
        faults.push(fault);
        Limit::Usual
    });
    let mut within = |name: &str, given: Option<u64>, usual: u64, most: u64| {
        let value = given.unwrap_or(usual);
        if !(1..=most).contains(&value) {
            faults.push(format!("{name} must be from 1 to {most}"));
        }
        value
    };
    let body_limit = within("body_limit_mib", entry.body_limit_mib, 8, MAX_BODY_MIB);
    let timeout = within("timeout_seconds", entry.timeout_seconds, QUICK.as_secs(), MAX_TIMEOUT_SECONDS);
    match service {
        Some(service) if faults.is_empty() => Ok(AddedRoute {
            prefix: entry.prefix,
            service,
            upstreams,
            access,
            body_limit: body_limit * MIB,
            timeout: Duration::from_secs(timeout),
            limit,
            is_websocket: entry.websocket,
        }),
        _ => Err(faults),
    }
}

fn access(auth: Auth, app: Option<&str>) -> Result<Access, String> {
    let app = match app.map(|name| (name, App::from_name(name))) {
        None => None,
        Some((_, Some(app))) => Some(app.as_str()),
        Some((name, None)) => {
            let known = App::ALL.map(App::as_str).join(", ");
            return Err(format!("there is no app {name}: there are {known}"));
        }
    };
    match (auth, app) {
        (Auth::Required, None) => Ok(Access::SignedIn),
        (Auth::Required, Some(app)) => Ok(Access::App(app)),
        (Auth::Optional, app) => Ok(Access::Optional(app)),
        (Auth::None, None) => Ok(Access::Public),
        (Auth::None, Some(_)) => Err("a route without auth grants no app".to_owned()),
    }
}

/// Reads where a service serves: `http://host:port`.
pub(crate) fn authority(url: &str) -> Option<Authority> {
    let rest = url.strip_prefix("http://")?;
    let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().ok()?;
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Makes routes of those that were added. Routes of one service share its replicas.
pub(super) fn to_routes(added: &[AddedRoute], families: &Families) -> Vec<Route> {
    let mut services: BTreeMap<String, Arc<Service>> = BTreeMap::new();
    let mut routes = Vec::with_capacity(added.len());
    for route in added {
        let service = services.entry(route.service.to_string()).or_insert_with(|| {
            Arc::new(Service::new(route.service.clone(), route.upstreams.iter().cloned(), families))
        });
        routes.push(Route {
            prefix: route.prefix.as_str().into(),
            service: Arc::clone(service),
            access: route.access,
            body_limit: route.body_limit,
            timeout: route.timeout,
            is_content: false,
            cookies: Cookies::Kept,
            limit: route.limit.clone(),
            is_websocket: route.is_websocket,
            series: families.of_route(&route.prefix),
        });
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_route_takes_few_lines_and_the_rest_has_sensible_values() {
        let text =
            "[[route]]\nprefix = '/reports'\nservice = 'reports'\nupstreams = ['http://10.0.0.5:9000']";
        let [route] = read(text).unwrap().try_into().unwrap();
        assert_eq!(route.access, Access::SignedIn);
        assert_eq!((route.body_limit, route.timeout), (8 * MIB, QUICK));
        let text =
            format!("{text}\nauth = 'optional'\napp = 'tasks'\nbody_limit_mib = 1\ntimeout_seconds = 5");
        let [route] = read(&text).unwrap().try_into().unwrap();
        assert_eq!(route.access, Access::Optional(Some("tasks")));
        assert_eq!((route.body_limit, route.timeout), (MIB, Duration::from_secs(5)));
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let text = "[[route]]\nprefix = '/api/v1/x'\nservice = 'auth'\nupstreams = ['10.0.0.5', 'http://a:1', 'http://a:1']
            app = 'nothing'\nbody_limit_mib = 0\ntimeout_seconds = 4000";
        let told = fault(text);
        for part in [
            "route /api/v1/x: what lies at /api/v1 is the platform's own",
            "auth is a service of the platform's own",
            "upstream 10.0.0.5 must be of the form http://host:port",
            "http://a:1 stands here twice",
            "there is no app nothing: there are functions, vault, documents, tasks, workspace",
            "body_limit_mib must be from 1 to 10240",
            "timeout_seconds must be from 1 to 3600",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn prefixes_are_canonical_and_unlike_each_other() {
        let route = |prefix: &str, upstream: &str| {
            format!("[[route]]\nprefix = '{prefix}'\nservice = 'site'\nupstreams = ['http://{upstream}']\n")
        };
        for (prefix, told) in [
            ("/a/../b", "the path holds an empty segment"),
            ("/a/", "must not end in /"),
            ("/%61", "has to be written /a"),
            ("a", "must begin with /"),
            ("/f/ada", "the platform's own"),
            ("/health", "the platform's own"),
        ] {
            assert!(fault(&route(prefix, "a:1")).contains(told), "{prefix}");
        }
        let twice = route("/a", "a:1").repeat(2);
        assert!(fault(&twice).contains("two routes of this prefix"));
        let differing = route("/a", "a:1") + &route("/b", "b:1");
        assert!(fault(&differing).contains("site has other upstreams at /a"));
        assert!(fault("[[route]]\nprefix = '/a'").contains("missing field"));
        assert!(fault("[[rout]]\nprefix = '/a'").contains("unknown field"));
    }
}
