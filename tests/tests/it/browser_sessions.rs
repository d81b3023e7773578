//! A browser's session through the gateway: its tokens are in cookies, and other sites' pages can do nothing with them.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform};

/// A browser with a page of one origin.
struct Page<'a> {
    platform: &'a Platform,
    origin: String,
    cookies: Vec<(String, String)>,
}

impl<'a> Page<'a> {
    fn of(platform: &'a Platform, origin: &str) -> Self {
        Self { platform, origin: origin.to_owned(), cookies: Vec::new() }
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Response {
        let client = reqwest::Client::builder().build().unwrap();
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let mut request = client
            .request(method, format!("{}{path}", self.platform.gateway()))
            .header("origin", &self.origin)
            .header("cookie", cookies.collect::<Vec<_>>().join("; "));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (pair, rest) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(["HttpOnly", "Secure", "SameSite=Lax", "Path=/"].iter().all(|part| rest.contains(part)));
            self.cookies.retain(|(kept, _)| kept != name);
            if !rest.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    async fn status(&mut self, method: Method, path: &str) -> StatusCode {
        self.send(method, path, None).await.status()
    }
}

#[tokio::test]
async fn a_browser_signs_in_goes_on_and_signs_out_with_cookies_alone() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let login = json!({"email": "ada@example.org", "password": ADMIN_PASSWORD, "transport": "cookie"});
    let mut page = Page::of(&platform, platform.gateway());

    assert_eq!(page.send(Method::POST, "/api/login", Some(login.clone())).await.status(), 200);
    assert_eq!(page.cookies.len(), 2);
    assert_eq!(page.status(Method::GET, "/api/v1/users/me").await, 200);
    let before = page.cookies.clone();
    assert_eq!(page.status(Method::POST, "/api/v1/auth/refresh").await, 200);
    assert_ne!(page.cookies, before);
    assert_eq!(page.status(Method::GET, "/api/v1/users/me").await, 200);

    let mut evil = Page::of(&platform, "https://evil.example");
    evil.cookies.clone_from(&page.cookies);
    for path in
        ["/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/auth/logout-all", "/api/v1/functions"]
    {
        assert_eq!(evil.status(Method::POST, path).await, 403, "{path}");
    }
    assert_eq!(evil.send(Method::POST, "/api/login", Some(login)).await.status(), 403);
    assert_eq!(evil.cookies, page.cookies);

    let last = page.cookies.clone();
    assert_eq!(page.status(Method::POST, "/api/v1/auth/logout").await, 204);
    assert!(page.cookies.is_empty());
    page.cookies = last;
    assert_eq!(page.status(Method::POST, "/api/v1/auth/refresh").await, 401);
}

#[tokio::test]
async fn a_browser_whose_access_token_is_gone_signs_out_by_its_refresh_cookie() {
    let platform = Platform::start(Mode::Standalone).await;
    platform.sign_in("ada").await;
    let login = json!({"email": "ada@example.org", "password": ADMIN_PASSWORD, "transport": "cookie"});
    let mut page = Page::of(&platform, platform.gateway());
    page.send(Method::POST, "/api/v1/auth/login", Some(login)).await;
    page.cookies.retain(|(name, _)| name == "__Host-slipway_refresh");
    let last = page.cookies.clone();
    assert_eq!(page.status(Method::POST, "/api/v1/auth/logout").await, 204);
    page.cookies = last;
    assert_eq!(page.status(Method::POST, "/api/v1/auth/refresh").await, 401);
}
