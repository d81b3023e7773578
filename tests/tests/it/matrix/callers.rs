//! Every kind of caller, and the things that the regular one has made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use slipway_end_to_end::{ADMIN_PASSWORD, Platform};
use slipway_models::api_keys::{Reach, Scope};
use slipway_models::auth::UserType;

use super::facts::Route;
use crate::support::{client_of, deploy, eventually};

/// Where a caller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Shows nothing.
    Anonymous,
    /// Waits for approval, and shows the password: there is no session to show.
    Pending,
    /// Shows the token of a session from before the account was disabled.
    Disabled,
    SignedIn,
}

/// A kind of caller, as far as it decides what they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) standing: Standing,
    pub(crate) user_type: UserType,
    /// Whether the caller is granted all apps, or none.
    pub(crate) has_apps: bool,
    /// Whether the things are the caller's that the paths name.
    pub(crate) owns: bool,
    /// The API key that is shown, in the place of a session's token.
    pub(crate) key: Option<Key>,
}

/// An API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// The name of the caller whose it is.
    of: &'static str,
    scopes: &'static [Scope],
}

impl Caller {
    /// Tells whether what the caller shows reaches so far in an app.
    pub(crate) fn reaches(&self, app: &str, reach: Reach) -> bool {
        self.key.is_none_or(|key| key.scopes.iter().any(|scope| scope.allows(app, reach)))
    }

    /// Makes a kind of caller that shows a key of this one.
    const fn by_key(self, name: &'static str, scopes: &'static [Scope]) -> Self {
        Self { name, key: Some(Key { of: self.name, scopes }), ..self }
    }
}

const fn caller(name: &'static str, standing: Standing, user_type: UserType) -> Caller {
    Caller { name, standing, user_type, has_apps: true, owns: false, key: None }
}

const OWNER: Caller = Caller { owns: true, ..caller("regular", Standing::SignedIn, UserType::Regular) };

const OTHER: Caller = caller("other-regular", Standing::SignedIn, UserType::Regular);
const WITHOUT_APPS: Caller =
    Caller { has_apps: false, ..caller("without-apps", Standing::SignedIn, UserType::Regular) };

/// Every kind of caller. Each has an account of its name, but for the anonymous one and those who show a key.
pub(crate) const CALLERS: [Caller; 12] = [
    caller("anonymous", Standing::Anonymous, UserType::Regular),
    caller("pending", Standing::Pending, UserType::Regular),
    caller("disabled", Standing::Disabled, UserType::Regular),
    WITHOUT_APPS,
    OTHER,
    caller("qvp", Standing::SignedIn, UserType::Qvp),
    caller("administrator", Standing::SignedIn, UserType::Admin),
    OWNER,
    OWNER.by_key("key-that-reads", &[Scope::FunctionsRead, Scope::FunctionsInvoke]),
    OWNER.by_key("key-without-the-scope", &[Scope::VaultWrite]),
    OTHER.by_key("key-of-another", &[Scope::FunctionsWrite]),
    WITHOUT_APPS.by_key("key-without-apps", &[Scope::FunctionsWrite]),
];

/// The accounts of all callers, and the regular one's things.
pub(crate) struct World {
    gateway: String,
    client: reqwest::Client,
    tokens: Vec<(&'static str, String)>,
    /// By the names that paths have for them.
    things: Vec<(&'static str, String)>,
}

fn email(name: &str) -> String {
    format!("{name}@example.org")
}

fn text(body: &Value, pointer: &str) -> String {
    let text = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    assert!(!text.is_empty(), "{pointer} in {body}");
    text.to_owned()
}

impl World {
    /// Makes all of it on a platform where accounts wait for approval.
    pub(crate) async fn make(platform: &Platform) -> Self {
        let client = reqwest::Client::builder().build().unwrap();
        let gateway = platform.gateway().to_owned();
        let mut world = Self { gateway, client, tokens: Vec::new(), things: Vec::new() };
        let admin = world.sign_in(json!({"username": "admin"})).await;
        let has_account = |caller: &&Caller| caller.standing != Standing::Anonymous && caller.key.is_none();
        for caller in CALLERS.iter().filter(has_account) {
            world.make_account(platform, &admin, caller).await;
        }
        for (caller, key) in CALLERS.iter().filter_map(|caller| Some((caller, caller.key?))) {
            let made = world.make_key(key.of, key.scopes).await;
            world.tokens.push((caller.name, text(&made, "/secret")));
        }
        world.make_things(platform).await;
        world
    }

    async fn make_account(&mut self, platform: &Platform, admin: &str, caller: &Caller) {
        let name = caller.name;
        let account = json!({"email": email(name), "password": ADMIN_PASSWORD});
        if caller.standing == Standing::Pending {
            let made = self.send(Method::POST, "auth/register", admin, Some(account)).await;
            assert_eq!(made["user"]["status"], "pending", "{made}");
            let login = json!({"email": email(name), "password": ADMIN_PASSWORD});
            let refused = self.send(Method::POST, "auth/login", admin, Some(login)).await;
            assert_eq!(refused["code"], "account_pending", "{refused}");
            return;
        }
        let mut account = account;
        account["user_type"] = caller.user_type.as_str().into();
        let made = self.send(Method::POST, "users", admin, Some(account)).await;
        let id = text(&made, "/user/id");
        if !caller.has_apps {
            let apps = Some(json!({"apps": []}));
            self.send(Method::PUT, &format!("admin/users/{id}/apps"), admin, apps).await;
        }
        let token = self.sign_in(json!({"email": email(name)})).await;
        if caller.standing == Standing::Disabled {
            let session = client_of(platform, &token);
            session.me().await.unwrap();
            let change = Some(json!({"is_active": false}));
            self.send(Method::PATCH, &format!("admin/users/{id}"), admin, change).await;
            eventually("a refusal", async || session.me().await.err()).await;
        }
        if caller.owns {
            self.things.push(("{user}", id));
            self.things.push(("{tail}", format!("{}/private", text(&made, "/user/handle"))));
        }
        self.tokens.push((name, token));
    }

    /// Makes what the paths name; all of it is the regular caller's.
    async fn make_things(&mut self, platform: &Platform) {
        let token = self.token(OWNER.name).to_owned();
        let main = "def handle(request, context):\n    return 42\n";
        let function = deploy(platform, &token, "private", main).await;
        let path = format!("functions/{function}");
        let invoke = Some(json!({}));
        let run = self.send(Method::POST, &format!("{path}/invoke"), &token, invoke).await;
        let deployments = self.send(Method::GET, &format!("{path}/deployments"), &token, None).await;
        let key = self.send(Method::POST, &format!("{path}/keys"), &token, Some(json!({}))).await;
        let secret = Some(json!({"value": "x"}));
        self.send(Method::PUT, &format!("{path}/secrets/SECRET"), &token, secret).await;
        let group = self.make_group(&token).await;
        let login = json!({"email": email(OWNER.name), "password": ADMIN_PASSWORD});
        let session = self.send(Method::POST, "auth/login", &token, Some(login)).await;
        let api_key = self.make_key(OWNER.name, &[Scope::FunctionsRead]).await;
        self.things.extend([
            ("{function}", function.to_string()),
            ("{execution}", text(&run, "/execution_id")),
            ("{deployment}", text(&deployments, "/items/0/id")),
            ("{key}", text(&key, "/id")),
            ("{secret}", "SECRET".to_owned()),
            ("{group}", group),
            ("{api_key}", text(&api_key, "/id")),
            ("{session}", text(&session, "/session_id")),
            ("{file}", "docs.css".to_owned()),
        ]);
    }

    /// Writes a route's path with the things that it names. A group that several callers may end is a new one for each.
    pub(crate) async fn path(&self, route: &Route, ends: bool) -> String {
        let mut path = route.path.to_owned();
        if ends && path.contains("{group}") {
            let token = self.sign_in(json!({"email": email(OWNER.name)})).await;
            path = path.replace("{group}", &self.make_group(&token).await);
        }
        let path = self.things.iter().fold(path, |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "{path} names a thing that is not made");
        path
    }

    /// Begins a request to the gateway.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.gateway))
    }

    async fn make_group(&self, token: &str) -> String {
        let group = Some(json!({"name": "Research"}));
        text(&self.send(Method::POST, "groups", token, group).await, "/id")
    }

    async fn make_key(&self, of: &str, scopes: &[Scope]) -> Value {
        let key = Some(json!({"name": "one", "scopes": scopes}));
        self.send(Method::POST, "api-keys", self.token(of), key).await
    }

    /// Returns what a caller shows, where they show anything; by a session of its own where the usual one has to last.
    pub(crate) async fn authorization(&self, caller: &Caller, is_own_session: bool) -> Option<String> {
        match caller.standing {
            Standing::Anonymous => None,
            Standing::Pending => {
                let password = STANDARD.encode(format!("{}:{ADMIN_PASSWORD}", email(caller.name)));
                Some(format!("Basic {password}"))
            }
            Standing::SignedIn if is_own_session && caller.key.is_none() => {
                let token = self.sign_in(json!({"email": email(caller.name)})).await;
                Some(format!("Bearer {token}"))
            }
            Standing::Disabled | Standing::SignedIn => Some(format!("Bearer {}", self.token(caller.name))),
        }
    }

    fn token(&self, name: &str) -> &str {
        let (_, token) = self.tokens.iter().find(|(of, _)| *of == name).unwrap();
        token
    }

    async fn sign_in(&self, mut login: Value) -> String {
        login["password"] = ADMIN_PASSWORD.into();
        let tokens = self.send(Method::POST, "auth/login", "", Some(login)).await;
        text(&tokens, "/access_token")
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Value {
        let mut request = self.request(method, &format!("/api/v1/{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.bearer_auth(token).send().await.unwrap().json().await.unwrap_or_default()
    }
}
