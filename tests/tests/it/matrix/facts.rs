//! What is declared of each route: who may call it, whose the thing is that its path names, and what it needs to be asked
//! well, so that a refusal is one of who asks.

use slipway_models::api_keys::Reach;
use slipway_models::permissions::Permission;

use super::registered::ANY;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody.
    Everyone,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever is signed in and is granted the app.
    App(&'static str),
    /// Anybody, where the function is public; this one is not.
    Trigger(&'static str),
    /// Whoever has the permission.
    Permitted(Permission),
    /// The platform's own services, past the gateway.
    Inside,
}

/// Whose the thing is that the path names. The regular caller has made all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// It names none, or one of which the permission alone decides.
    None,
    /// Its owner's alone.
    Owners,
    /// Its owner's, and theirs who manage people.
    OwnersOrManaged,
}

/// What a call that is admitted takes away from those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// Something is gone, or the caller's session.
    Ends,
}

/// A route, and what is declared of it.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) who: Who,
    pub(crate) object: Object,
    pub(crate) body: Option<&'static str>,
    pub(crate) effect: Effect,
}

impl Route {
    /// Tells how far an API key has to reach for the route.
    pub(crate) fn reach(&self) -> Reach {
        match (self.who, self.method) {
            (Who::Trigger(_), _) => Reach::Invoke,
            (_, "GET") => Reach::Read,
            _ => Reach::Write,
        }
    }

    const fn owners(self) -> Self {
        Self { object: Object::Owners, ..self }
    }

    const fn managed(self) -> Self {
        Self { object: Object::OwnersOrManaged, ..self }
    }

    const fn with(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    const fn ends(self) -> Self {
        Self { effect: Effect::Ends, ..self }
    }
}

const fn route(method: &'static str, path: &'static str, who: Who) -> Route {
    Route { method, path, who, object: Object::None, body: None, effect: Effect::None }
}

const fn open(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::Everyone)
}

const fn inside(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::Inside)
}

const fn people(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::SignedIn)
}

const fn managers(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::Permitted(Permission::ManageUsers))
}

const fn auditors(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::Permitted(Permission::ViewAudit))
}

const fn functions(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::App("functions"))
}

/// Every route of every service. Those that end something come in an order in which each still finds what it ends.
pub(crate) const ROUTES: [Route; 78] = [
    open("GET", "/health"),
    open("GET", "/api/openapi.json"),
    open("GET", "/api/v1/openapi.json"),
    open("GET", "/api/docs"),
    open("GET", "/api/docs/docs.js"),
    open("GET", "/api/docs/docs.css"),
    open("POST", "/api/v1/auth/register").with("{}"),
    open("GET", "/api/v1/auth/prelogin"),
    open("POST", "/api/v1/auth/password/forgot").with("{}"),
    open("POST", "/api/v1/auth/password/reset").with("{}"),
    open("POST", "/api/v1/auth/email/verify").with("{}"),
    open("POST", "/api/v1/auth/login").with("{}"),
    open("POST", "/api/v1/auth/refresh").with("{}"),
    open("GET", "/api/v1/auth/jwks.json"),
    open("GET", "/.well-known/jwks.json"),
    inside("POST", "/internal/api-keys").with("{}"),
    inside("POST", "/internal/audit").with("{}"),
    inside("GET", "/internal/deleted-users"),
    inside("GET", "/internal/revocations"),
    people("PUT", "/api/v1/auth/password").with("{}"),
    people("GET", "/api/v1/auth/sessions"),
    people("GET", "/api/v1/users/me"),
    people("PUT", "/api/v1/users/me").with("{}"),
    people("GET", "/api/v1/users/me/permissions"),
    people("GET", "/api/v1/users/lookup"),
    people("GET", "/api/v1/profile"),
    people("PUT", "/api/v1/profile").with("{}"),
    managers("POST", "/api/v1/users").with("{}"),
    managers("GET", "/api/v1/users/{user}"),
    managers("GET", "/api/v1/admin/users"),
    managers("PATCH", "/api/v1/admin/users/{user}").with("{}"),
    managers("POST", "/api/v1/admin/users/{user}/approve"),
    managers("POST", "/api/v1/admin/users/{user}/reject"),
    managers("POST", "/api/v1/admin/users/{user}/reset-password"),
    managers("GET", "/api/v1/admin/users/{user}/apps"),
    managers("PUT", "/api/v1/admin/users/{user}/apps").with(r#"{"apps":null}"#),
    people("GET", "/api/v1/groups"),
    people("POST", "/api/v1/groups").with(r#"{"name":"Research"}"#),
    people("GET", "/api/v1/groups/{group}").managed(),
    people("PATCH", "/api/v1/groups/{group}").managed().with(r#"{"name":"Science"}"#),
    people("GET", "/api/v1/groups/{group}/members").managed(),
    people("PUT", "/api/v1/groups/{group}/members/{user}").managed().with(r#"{"role":"owner"}"#),
    // The last owner does not go.
    people("DELETE", "/api/v1/groups/{group}/members/{user}").managed(),
    people("GET", "/api/v1/groups/{group}/apps").managed(),
    managers("PUT", "/api/v1/groups/{group}/apps").with(r#"{"apps":null}"#),
    people("GET", "/api/v1/api-keys"),
    people("POST", "/api/v1/api-keys").with(r#"{"name":"another","scopes":["functions:read"]}"#),
    auditors("GET", "/api/v1/audit"),
    auditors("GET", "/api/v1/audit/verify"),
    functions("GET", "/api/v1/functions"),
    functions("POST", "/api/v1/functions/deploy").with("{}"),
    functions("GET", "/api/v1/functions/{function}").owners(),
    functions("PATCH", "/api/v1/functions/{function}").owners().with("{}"),
    functions("GET", "/api/v1/functions/{function}/deployments").owners(),
    functions("POST", "/api/v1/functions/{function}/invoke").owners().with("{}"),
    functions("POST", "/api/v1/functions/{function}/rollback").owners().with(r#"{"version":1}"#),
    functions("GET", "/api/v1/functions/{function}/executions").owners(),
    functions("GET", "/api/v1/functions/{function}/logs").owners(),
    functions("GET", "/api/v1/functions/{function}/stats").owners(),
    functions("GET", "/api/v1/functions/{function}/secrets").owners(),
    functions("PUT", "/api/v1/functions/{function}/secrets/{secret}").owners().with(r#"{"value":"x"}"#),
    functions("GET", "/api/v1/functions/{function}/keys").owners(),
    functions("POST", "/api/v1/functions/{function}/keys").owners().with("{}"),
    functions("GET", "/api/v1/executions/{execution}").owners(),
    functions("POST", "/api/v1/executions/{execution}/cancel").owners(),
    functions("POST", "/api/v1/executions/{execution}/replay").owners(),
    functions("GET", "/api/v1/deployments/{deployment}").owners(),
    functions("GET", "/api/v1/deployments/{deployment}/logs").owners(),
    route(ANY, "/f/{tail}", Who::Trigger("functions")).owners(),
    functions("DELETE", "/api/v1/functions/{function}/secrets/{secret}").owners().ends(),
    functions("DELETE", "/api/v1/functions/{function}/keys/{key}").owners().ends(),
    functions("DELETE", "/api/v1/functions/{function}").owners().ends(),
    people("DELETE", "/api/v1/groups/{group}").managed().ends(),
    people("DELETE", "/api/v1/api-keys/{api_key}").owners().ends(),
    people("DELETE", "/api/v1/auth/sessions/{session}").owners().ends(),
    people("POST", "/api/v1/auth/logout").ends(),
    people("POST", "/api/v1/auth/logout-all").ends(),
    managers("DELETE", "/api/v1/users/{user}").ends(),
];
