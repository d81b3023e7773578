//! What browsers are told.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};

use crate::harness::{TestGateway, problem};

const CONSOLE: &str = "https://console.example.org";

async fn start() -> TestGateway {
    TestGateway::start_with(&[("GATEWAY_ORIGINS", CONSOLE)]).await
}

fn preflight(gateway: &TestGateway, path: &str, origin: &str) -> RequestBuilder {
    let request = gateway.request(Method::OPTIONS, path).header("origin", origin);
    request.header("access-control-request-method", "DELETE")
}

fn told<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_and_no_service_is_bothered() {
    let gateway = start().await;
    let answer = preflight(&gateway, "/api/v1/functions/x", CONSOLE).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let headers = answer.headers();
    assert_eq!(told(headers, "access-control-allow-origin"), [CONSOLE]);
    assert_eq!(told(headers, "access-control-allow-credentials"), ["true"]);
    assert!(told(headers, "access-control-allow-methods")[0].contains("DELETE"));
    assert!(told(headers, "access-control-allow-headers")[0].contains("authorization"));
    assert_eq!(told(headers, "vary"), ["origin"]);

    let refused =
        preflight(&gateway, "/api/v1/functions/x", "https://evil.example.org").send().await.unwrap();
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    assert_eq!(problem(refused).await, (403, "origin_refused".to_owned()));
    assert_eq!(gateway.services.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn answers_and_errors_can_be_read_by_pages_of_allowed_origins_alone() {
    let gateway = start().await;
    let token = gateway.sign_in().token;
    for (token, status) in [(token.as_str(), 200), ("a.b.c", 401)] {
        for (origin, allowed) in
            [(Some(CONSOLE), true), (Some("https://evil.example.org"), false), (None, false)]
        {
            let request = gateway.request(Method::GET, "/api/v1/functions").bearer_auth(token);
            let request =
                origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status);
            let headers = answer.headers();
            let expected = if allowed { vec![CONSOLE] } else { vec![] };
            assert_eq!(told(headers, "access-control-allow-origin"), expected);
            assert_eq!(headers.contains_key("access-control-expose-headers"), allowed);
            assert_eq!(told(headers, "x-content-type-options"), ["nosniff"]);
            assert_eq!(told(headers, "vary"), ["origin"]);
        }
    }
}

#[tokio::test]
async fn a_function_speaks_for_itself() {
    let gateway = start().await;
    let answer = preflight(&gateway, "/f/ada/hello", "https://anywhere.example.org").send().await.unwrap();
    assert_eq!(answer.status(), 200, "the function is asked");
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let hostile =
        gateway.request(Method::GET, "/f/eve/hostile").header("origin", CONSOLE).send().await.unwrap();
    assert!(!hostile.headers().contains_key("access-control-allow-credentials"));
}
