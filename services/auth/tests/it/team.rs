//! An auth, as its admins ask it.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use slipway_kernel::{SessionId, UserId};
use slipway_models::auth::UserType;

use crate::harness::{PASSWORD, TestAuth};

/// An auth with its first superuser, who asks.
pub(crate) struct Team {
    pub(crate) auth: TestAuth,
    pub(crate) superuser: UserId,
}

impl Team {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::of(TestAuth::start_with(settings).await).await
    }

    /// Those who ask of an auth that runs.
    pub(crate) async fn of(auth: TestAuth) -> Self {
        let admin = auth.callers.person(UserType::Admin).authorization;
        let users: Value = auth.get_as("/api/v1/admin/users", &admin).await.json().await.unwrap();
        let superuser = users["items"][0]["id"].as_str().unwrap().parse().unwrap();
        Self { auth, superuser }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let caller = self.auth.callers.session(self.superuser, SessionId::generate(), UserType::Admin);
        let mut request = self.auth.request(method, &format!("/api/v1/{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.header("authorization", caller.authorization).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, user: &str) -> Response {
        self.send(Method::DELETE, &format!("users/{user}"), None).await
    }

    pub(crate) async fn create(&self, body: Value) -> Response {
        self.send(Method::POST, "users", Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await.json().await.unwrap()
    }

    pub(crate) async fn change(&self, user: &str, body: Value) -> Response {
        self.send(Method::PATCH, &format!("admin/users/{user}"), Some(body)).await
    }

    pub(crate) async fn decide(&self, user: &str, decision: &str) -> Response {
        self.send(Method::POST, &format!("admin/users/{user}/{decision}"), None).await
    }

    pub(crate) async fn register(&self, email: &str) -> String {
        self.auth.register(email).await["user"]["id"].as_str().unwrap().to_owned()
    }

    /// Registers Ada, Bob and Eve.
    pub(crate) async fn three(&self) -> [String; 3] {
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| format!("{name}@example.org"));
        [self.register(&ada).await, self.register(&bob).await, self.register(&eve).await]
    }

    pub(crate) async fn sign_in(&self, email: &str) -> Response {
        self.auth.post("/api/v1/auth/login", json!({"email": email, "password": PASSWORD})).await
    }

    pub(crate) async fn feed(&self) -> Value {
        let service = self.auth.callers.service("gateway");
        self.auth.get_as("/internal/revocations", &service).await.json().await.unwrap()
    }

    pub(crate) async fn handles(&self, path: &str) -> Vec<String> {
        let found = self.get(path).await;
        let items = found["items"].as_array().unwrap().iter();
        items.map(|user| user["handle"].as_str().unwrap().to_owned()).collect()
    }
}
