//! How often callers may ask.

use reqwest::{Method, Response};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{TestGateway, problem};
use crate::raw;

const LIMITS: [(&str, &str); 4] = [
    ("GATEWAY_LIMITS", "true"),
    ("GATEWAY_LIMIT_PER_ADDRESS", "2"),
    ("GATEWAY_LIMIT_PER_ACCOUNT", "3"),
    ("GATEWAY_TRUSTED_PROXIES", "127.0.0.1"),
];

/// Asks from an address, as a proxy tells it.
async fn ask(gateway: &TestGateway, path: &str, from: &str, token: Option<&str>) -> Response {
    let request = gateway.request(Method::GET, path).header("x-forwarded-for", from);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

fn told(answer: &Response, name: &str) -> String {
    answer.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn callers_who_are_not_known_are_counted_by_address() {
    let gateway = TestGateway::start_with(&LIMITS).await;
    let first = ask(&gateway, "/f/ada/hello", "203.0.113.9", None).await;
    assert_eq!(first.status(), 200);
    assert_eq!(told(&first, "ratelimit-policy"), r#""address";q=2;w=60"#);
    assert_eq!(told(&first, "ratelimit"), r#""address";r=1;t=0"#);
    // A token that is refused is counted like none.
    assert_eq!(ask(&gateway, "/api/functions", "203.0.113.9", Some("a.b.c")).await.status(), 401);

    for (path, token) in [("/f/ada/hello", None), ("/api/functions", Some("a.b.c"))] {
        let refused = ask(&gateway, path, "203.0.113.9", token).await;
        assert!(
            told(&refused, "retry-after").parse::<u64>().is_ok_and(|seconds| (1..=120).contains(&seconds))
        );
        assert!(told(&refused, "ratelimit").starts_with(r#""address";r=0;t="#));
        assert_eq!(problem(refused).await, (429, "rate_limited".to_owned()));
    }
    assert_eq!(ask(&gateway, "/f/ada/hello", "203.0.113.10", None).await.status(), 200, "another address");
}

#[tokio::test]
async fn whoever_is_known_is_counted_by_account_wherever_they_ask_from() {
    let gateway = TestGateway::start_with(&LIMITS).await;
    let (ada, eve) = (gateway.sign_in(), gateway.sign_in());
    for last in 1..=3 {
        let from = format!("203.0.113.{last}");
        assert_eq!(ask(&gateway, "/api/functions", &from, Some(&ada.token)).await.status(), 200);
    }
    let refused = ask(&gateway, "/api/functions", "203.0.113.4", Some(&ada.token)).await;
    assert!(told(&refused, "ratelimit").starts_with(r#""account";r=0;t="#));
    assert_eq!(problem(refused).await, (429, "rate_limited".to_owned()));
    assert_eq!(ask(&gateway, "/api/functions", "203.0.113.4", Some(&eve.token)).await.status(), 200);
}

#[tokio::test]
async fn routes_of_a_class_are_counted_together_and_apart_from_others() {
    let (listener, url) = raw::listen().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = raw::accept_head(&listener).await;
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    let route = |prefix: &str, limit: &str| {
        format!(
            "[[route]]\nprefix = '{prefix}'\nservice = 'site'\nupstreams = ['{url}']\nauth = 'optional'\nlimit = '{limit}'\n"
        )
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.toml");
    let text = "[[limit]]\nname = 'search'\nper_address = 1\nper_account = 4\n".to_owned()
        + &route("/search", "search")
        + &route("/suggest", "search")
        + &route("/page", "usual")
        + &route("/free", "none");
    std::fs::write(&path, text).unwrap();
    let settings = [&LIMITS[..], &[("GATEWAY_ROUTES", path.to_str().unwrap())]].concat();
    let gateway = TestGateway::start_with(&settings).await;
    let from = "203.0.113.9";

    let first = ask(&gateway, "/search", from, None).await;
    assert_eq!(
        (first.status().as_u16(), told(&first, "ratelimit-policy").as_str()),
        (204, r#""address";q=1;w=60"#)
    );
    let refused = ask(&gateway, "/suggest", from, None).await;
    assert_eq!(problem(refused).await, (429, "rate_limited".to_owned()));
    assert_eq!(ask(&gateway, "/page", from, None).await.status(), 204);
    // What the address used up of the class keeps new credentials from that, and from nothing else.
    let ada = gateway.sign_in();
    assert_eq!(ask(&gateway, "/search", from, Some(&ada.token)).await.status(), 429);
    assert_eq!(ask(&gateway, "/page", from, Some(&ada.token)).await.status(), 204);
    for left in (0..4).rev() {
        let answer = ask(&gateway, "/search", from, Some(&ada.token)).await;
        assert_eq!(answer.status(), 204);
        assert!(told(&answer, "ratelimit").starts_with(&format!(r#""account";r={left};"#)));
    }
    assert_eq!(ask(&gateway, "/suggest", from, Some(&ada.token)).await.status(), 429);
    for _ in 0..5 {
        let answer = ask(&gateway, "/free", from, None).await;
        assert!(answer.status() == 204 && !answer.headers().contains_key("ratelimit"));
    }
    let counted = r#"gateway_limited_total{route="/suggest",service="gateway"} 2"#;
    assert!(gateway.metrics().await.contains(counted));
}

#[tokio::test]
async fn routes_that_their_service_counts_are_left_to_it() {
    let gateway = TestGateway::start_with(&LIMITS).await;
    for _ in 0..5 {
        let answer = ask(&gateway, "/api/v1/auth/prelogin", "203.0.113.9", None).await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("ratelimit"));
    }
}

#[tokio::test]
async fn an_address_that_used_up_its_share_has_no_new_credentials_looked_at_and_known_ones_pass() {
    let gateway = TestGateway::start_with(&LIMITS).await;
    let (seen, unseen) = (gateway.sign_in(), gateway.sign_in());
    assert_eq!(ask(&gateway, "/api/functions", "203.0.113.9", Some(&seen.token)).await.status(), 200);
    while ask(&gateway, "/api/functions", "203.0.113.9", Some("a.b.c")).await.status() != 429 {}

    assert_eq!(ask(&gateway, "/api/functions", "203.0.113.9", Some(&seen.token)).await.status(), 200);
    let refused = ask(&gateway, "/api/functions", "203.0.113.9", Some(&unseen.token)).await;
    assert_eq!(problem(refused).await, (429, "rate_limited".to_owned()));
    assert_eq!(ask(&gateway, "/api/functions", "203.0.113.10", Some(&unseen.token)).await.status(), 200);
}
