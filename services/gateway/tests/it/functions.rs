use reqwest::{Method, Response};
use serde_json::Value;
use slipway_kernel::UserId;

use crate::echo::values;
use crate::harness::{TestGateway, problem, sign_in_to};
use crate::raw;

async fn anonymous(gateway: &TestGateway, path: &str) -> Response {
    gateway.request(Method::GET, path).send().await.unwrap()
}

/// Asks for a path under a host name; returns the status.
async fn status(gateway: &TestGateway, host: &str, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = raw::exchange(gateway.address, &request).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn anybody_may_call_and_whoever_signed_in_is_known() {
    let gateway = TestGateway::start().await;
    let echoed: Value = anonymous(&gateway, "/f/ada/hello").await.json().await.unwrap();
    assert_eq!(echoed["identity"], Value::Null);
    assert_eq!(values(&echoed, "x-user-id"), Vec::<&str>::new());

    let caller = gateway.sign_in();
    let echoed: Value = gateway.get("/f/ada/hello", &caller.token).await.json().await.unwrap();
    assert_eq!(echoed["identity"], true);
    assert_eq!(values(&echoed, "x-user-id"), [caller.user_id.to_string()]);

    // Whoever was not granted the app calls what anybody may call.
    let other = sign_in_to(&gateway.issuer, &["vault"]);
    let echoed: Value = gateway.get("/f/ada/hello", &other.token).await.json().await.unwrap();
    assert_eq!(echoed["identity"], Value::Null);
    let basic = gateway.request(Method::GET, "/f/ada/hello").basic_auth("ada", Some("password"));
    let echoed: Value = basic.send().await.unwrap().json().await.unwrap();
    assert_eq!((&echoed["identity"], values(&echoed, "authorization").len()), (&Value::Null, 0));
}

#[tokio::test]
async fn a_token_that_is_shown_has_to_be_good() {
    let gateway = TestGateway::start().await;
    assert_eq!(problem(gateway.get("/f/ada/hello", "a.b.c").await).await, (401, "token_invalid".to_owned()));
    let twice = "GET /f/ada/hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n";
    assert!(raw::exchange(gateway.address, twice).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_function_gets_its_path_as_it_came_and_no_cookie() {
    let gateway = TestGateway::start().await;
    let path = "/f/ada/hello/a%2fb//%25/;x=1?q=%2F&q";
    let request = format!(
        "PURGE {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: __Host-slipway_access=a\r\nX-Mine: 1\r\n\r\n"
    );
    let answer = raw::exchange(gateway.address, &request).await;
    let echoed: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(format!("{}?{}", echoed["path"].as_str().unwrap(), echoed["query"].as_str().unwrap()), path);
    assert_eq!((&echoed["method"], values(&echoed, "x-mine")), (&"PURGE".into(), vec!["1"]));
    assert_eq!(values(&echoed, "cookie"), Vec::<&str>::new());
}

#[tokio::test]
async fn what_signs_a_call_reaches_the_runner_and_a_credential_of_the_platform_does_not() {
    let gateway = TestGateway::start().await;
    let id = UserId::generate().to_string();
    let signed = [
        ("signature", "sig1=:AAAA:"),
        ("signature-input", "sig1=()"),
        ("content-digest", "sha-256=:AAAA:"),
        ("x-signature", "AAAA"),
        ("x-timestamp", "1700000000"),
        ("x-api-key", &id),
    ];
    let request = |path: &str, headers: &[(&str, &str)]| {
        let request = gateway.request(Method::GET, path);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let echoed: Value = request("/f/ada/hello", &signed).send().await.unwrap().json().await.unwrap();
    for (name, value) in signed {
        assert_eq!(values(&echoed, name), [value], "{name}");
    }
    let keys = [("x-api-key", "secret"), ("x_api_key", &id)];
    let echoed: Value = request("/f/ada/hello", &keys).send().await.unwrap().json().await.unwrap();
    assert_eq!(values(&echoed, "x-api-key").len() + values(&echoed, "x_api_key").len(), 0);
    let caller = gateway.sign_in();
    let own = request("/api/v1/functions", &signed).bearer_auth(&caller.token);
    let echoed: Value = own.send().await.unwrap().json().await.unwrap();
    assert_eq!(values(&echoed, "x-api-key"), Vec::<&str>::new(), "elsewhere it is for the gateway alone");
}

#[tokio::test]
async fn a_function_sets_nothing_for_the_host_that_it_shares() {
    let gateway = TestGateway::start().await;
    let answer = anonymous(&gateway, "/f/eve/hostile").await;
    assert_eq!(answer.status(), 200);
    let headers = answer.headers();
    for name in [
        "set-cookie",
        "clear-site-data",
        "service-worker-allowed",
        "strict-transport-security",
        "www-authenticate",
        "nel",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
    let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies, ["default-src *", "sandbox"], "its own policy does not take ours away");
    assert_eq!(
        (&headers["content-type"], &headers["x-mine"]),
        (&"text/html".parse().unwrap(), &"1".parse().unwrap())
    );
    // The platform's own answers are none of a function's.
    let caller = gateway.sign_in();
    let own = gateway.get("/api/v1/functions", &caller.token).await;
    assert!(!own.headers().contains_key("content-security-policy"));
}

#[tokio::test]
async fn functions_with_a_host_of_their_own_are_there_and_nothing_else_is() {
    let gateway = TestGateway::start_with(&[("FUNCTIONS_HOST", "functions.example.org")]).await;
    for host in ["functions.example.org", "FUNCTIONS.example.org:8443", "functions.example.org."] {
        assert_eq!(status(&gateway, host, "/f/ada/hello").await, 200, "{host}");
        for path in
            ["/health", "/api/docs", "/api/v1/openapi.json", "/api/v1/auth/login", "/api/functions", "/"]
        {
            assert_eq!(status(&gateway, host, path).await, 404, "{host} {path}");
        }
    }
    for host in ["platform.example.org", "functions.example.org.evil.example", ""] {
        assert_eq!(status(&gateway, host, "/f/ada/hello").await, 404, "{host}");
        assert_eq!(status(&gateway, host, "/api/docs").await, 200, "{host}");
    }
    // The request line may say it too, but not otherwise than the header.
    let absolute = "http://functions.example.org/f/eve/hostile";
    assert_eq!(status(&gateway, "functions.example.org", absolute).await, 200);
    assert_eq!(status(&gateway, "platform.example.org", absolute).await, 400);
    let absolute = "http://platform.example.org/f/ada/hello";
    assert_eq!(status(&gateway, "platform.example.org", absolute).await, 404);
    assert_eq!(status(&gateway, "functions.example.org", absolute).await, 400);

    // It shares its host with other functions: it sets nothing for them either, but a page of its may run.
    let request = "GET /f/eve/hostile HTTP/1.1\r\nHost: functions.example.org\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange(gateway.address, request).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200") && !answer.contains("sandbox"), "{answer}");
    assert!(!answer.contains("set-cookie") && !answer.contains("service-worker-allowed"), "{answer}");
}
