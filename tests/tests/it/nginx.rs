//! A real nginx with the configuration of `deploy/nginx`, before a real platform.

use std::process::Command;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use slipway_end_to_end::{ADMIN_PASSWORD, Mode, Platform, Running, eventually, nginx_arguments};
use slipway_testkit::{free_ports, tls};
use tempfile::TempDir;

use crate::support::{client_of, delete, deploy};

const CONFIG: &str = include_str!("../../../deploy/nginx/slipway.conf");
const NAME: &str = "slipway.example.org";

struct Nginx {
    port: u16,
    plain_port: u16,
    client: Client,
    _running: Running,
    _directory: TempDir,
}

impl Nginx {
    /// Starts nginx with what it lies in changed: addresses, ports and files.
    async fn start(gateway: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [port, plain_port] = free_ports();
        tls::certify(directory.path(), &format!("DNS:{NAME}"));
        std::fs::create_dir(directory.path().join("www")).unwrap();
        std::fs::write(directory.path().join("www/index.html"), "<!doctype html><p>hello").unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let mut config = CONFIG.to_owned();
        for (shipped, here) in [
            ("server 127.0.0.1:8080;", format!("server {};", gateway.strip_prefix("http://").unwrap())),
            ("listen 80;", format!("listen 127.0.0.1:{plain_port};")),
            ("listen [::]:80;", String::new()),
            ("listen 443 ssl http2;", format!("listen 127.0.0.1:{port} ssl http2;")),
            ("listen [::]:443 ssl http2;", String::new()),
            ("/etc/nginx/slipway/certificate.pem", path(tls::CERTIFICATE)),
            ("/etc/nginx/slipway/key.pem", path(tls::KEY)),
            ("/srv/slipway/www", path("www")),
        ] {
            assert_eq!(config.matches(shipped).count(), 1, "{shipped}");
            config = config.replace(shipped, &here);
        }
        let arguments = nginx_arguments(directory.path(), &format!("access_log off;\n{config}"));
        let running = Running::start(Command::new("nginx").args(arguments));
        let authority = std::fs::read(directory.path().join(tls::AUTHORITY)).unwrap();
        let client = Client::builder()
            .add_root_certificate(reqwest::Certificate::from_pem(&authority).unwrap())
            .resolve(NAME, ([127, 0, 0, 1], port).into())
            .redirect(Policy::none())
            .build()
            .unwrap();
        let nginx = Self { port, plain_port, client, _running: running, _directory: directory };
        eventually("nginx answers", async || {
            nginx.request(Method::GET, "/health").send().await.ok().filter(|answer| answer.status() == 200)
        })
        .await;
        nginx
    }

    fn origin(&self) -> String {
        format!("https://{NAME}:{}", self.port)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.origin()))
    }
}

#[tokio::test]
async fn nginx_ends_tls_and_the_gateway_knows_the_page_and_the_client() {
    let settings = [("GATEWAY_TRUSTED_PROXIES", "127.0.0.1")];
    let platform = Platform::start_with(Mode::Standalone, &settings).await;
    platform.sign_in("ada").await;
    let nginx = Nginx::start(platform.gateway()).await;

    // Static files, and where http leads.
    let page = nginx.request(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.headers()["strict-transport-security"], "max-age=31536000");
    assert!(page.text().await.unwrap().contains("hello"));
    let plain = format!("http://127.0.0.1:{}/api/docs?x=1", nginx.plain_port);
    let plain = nginx.client.get(plain).header("host", NAME).send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(plain.headers()["location"], format!("https://{NAME}/api/docs?x=1"));

    // The page's own origin may use cookies, as the host reaches the gateway as it is; another's may not.
    let login = json!({"email": "ada@example.org", "password": ADMIN_PASSWORD, "transport": "cookie"});
    let sign_in = |origin: &str| {
        let request = nginx.request(Method::POST, "/api/v1/auth/login").header("origin", origin.to_owned());
        request.header("x-forwarded-for", "203.0.113.9").json(&login)
    };
    assert_eq!(sign_in("https://evil.example.org").send().await.unwrap().status(), 403);
    let signed_in = sign_in(&nginx.origin()).send().await.unwrap();
    assert_eq!(signed_in.status(), 200);
    let cookies: Vec<_> = signed_in.headers().get_all("set-cookie").iter().collect();
    let cookie = cookies.iter().map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
    let cookie = cookie.collect::<Vec<_>>().join("; ");

    // What the client says of its address is dropped; what nginx says counts.
    let sessions = nginx.request(Method::GET, "/api/v1/auth/sessions").header("cookie", &cookie);
    let sessions: Value = sessions.send().await.unwrap().json().await.unwrap();
    assert_eq!(sessions["items"][0]["address"], "127.0.0.1", "{sessions}");
}

#[tokio::test]
async fn large_bodies_and_what_functions_answer_go_through_nginx() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = platform.token_of("ada").await;
    let nginx = Nginx::start(platform.gateway()).await;
    let main = "def handle(request, context):\n    return {'bytes': len(request['body'])}\n";
    let function = deploy(&platform, &token, "count", main).await;

    let body = vec![b'x'; 5 * 1024 * 1024];
    let call = |body: Vec<u8>| nginx.request(Method::POST, "/f/ada/count").bearer_auth(&token).body(body);
    let answer = call(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("5242880"));
    let refused = call(vec![b'x'; 9 * 1024 * 1024]).send().await.unwrap();
    assert_eq!(refused.status(), 413);
    assert_eq!(refused.headers()["content-type"], "application/problem+json", "it is the gateway's answer");
    delete(&client_of(&platform, &token), &[function]).await;
}
