//! Requests that say of themselves what only the gateway may, or that two readers could take to be for two things.

use crate::cases::Expected::{Closed, Passes, Refused};
use crate::cases::{Case, run};

/// What the gateway says itself of a request that nobody signed.
const OWN: [&str; 11] = [
    "content-length",
    "forwarded",
    "host",
    "traceparent",
    "tracestate",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-slipway-timeout-ms",
];

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[tokio::test]
async fn what_a_client_says_of_who_it_is_reaches_no_service_however_it_is_written() {
    let lines = [
        "x-user-id: evil",
        "X-User-Id: evil",
        "X-USER-ID: evil",
        "x_user_id: evil",
        "X_User-Id: evil",
        "x-user_id: evil",
        "x.user.id: evil",
        "x-user.id: evil",
        "x~user~id: evil",
        "x-user-id-: evil",
        "x-userid: evil",
        "x-user: evil",
        "x-user-type: evil",
        "x-user-email: evil",
        "x-user-id: evil\r\nX-User-Id: evil",
        "x-user-id: evil\r\nX_USER_ID: evil\r\nx-user-id: evil",
        "Connection: x-user-id\r\nx-user-id: evil",
        "Connection: X-User-Id, keep-alive\r\nX-User-Id: evil",
        "Connection: x_user_id\r\nx_user_id: evil",
        "x-user-id: evil\r\nConnection: keep-alive\r\nConnection: x-user-id",
        "x-slipway-identity: evil",
        "X-Slipway-Origin: evil",
        "x_slipway_subject: evil",
        "x.slipway.subject: evil",
        "x-slipway-function-outcome: evil",
        "Connection: x-slipway-identity\r\nx-slipway-identity: evil",
        "forwarded: for=evil",
        "Forwarded: for=evil;by=evil\r\nforwarded: for=evil",
        "x-forwarded-for: evil",
        "x-forwarded-for: 192.0.2.66, evil",
        "X_Forwarded_For: evil",
        "x.forwarded.for: evil",
        "x-forwarded-host: evil",
        "x-forwarded-proto: evil",
        "x-forwarded-prefix: evil",
        "x-forwarded-user: evil",
        "Connection: x-forwarded-for\r\nx-forwarded-for: evil",
        "x-real-ip: evil",
        "x_real_ip: evil",
        "via: 1.1 evil",
        "proxy-authorization: Basic evil",
        "proxy-connection: evil",
        "proxy_authorization: evil",
        "Connection: x-mine\r\nx-mine: evil",
        "Connection: \"x-mine\", x-mine\r\nx-mine: evil",
        "Connection: X-Mine\r\nx-mine: evil",
        "Connection:x-mine\t, close-not\r\nx-mine: evil",
        "keep-alive: evil",
        "te: evil",
        "trailer: evil",
        "upgrade: evil",
        "x-request-id: evil evil",
        "traceparent: evil",
        "tracestate: evil=1",
        "cookie: evil=1",
        "cookie2: evil",
        "x-api-key: evil",
        "x_api_key: evil",
        "x.api.key: evil",
        "authorization: Basic evil",
        "content_length: evil",
    ];
    let cases: Vec<_> = lines
        .iter()
        .map(|line| Case::new(*line, get("/f/ada/hello", &format!("{line}\r\n")), Passes))
        .collect();

    let seen = run(&cases).await;

    let is_clean = |(name, value): &(String, String)| !value.contains("evil") && OWN.contains(&name.as_str());
    for request in &seen {
        assert!(request.headers.iter().all(is_clean), "{request:?}");
        assert_eq!(request.values("x-forwarded-for"), ["127.0.0.1"], "{request:?}");
        assert_eq!(request.values("x-request-id").len(), 1, "{request:?}");
    }
    assert_eq!(seen.len(), 2 * cases.len());
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    let head = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
    let mut cases = vec![
        Case::new("no Host", head("/f/ada/hello", ""), Closed(400)),
        Case::new("two Hosts, the same", head("/f/ada/hello", "Host: a\r\nHost: a\r\n"), Closed(400)),
        Case::new("two Hosts", head("/f/ada/hello", "Host: a\r\nHost: evil\r\n"), Closed(400)),
        Case::new("a Host and a folded one", head("/f/ada/hello", "Host: a\r\n Host: evil\r\n"), Closed(400)),
        Case::new("a space before the colon", head("/f/ada/hello", "Host : a\r\n"), Closed(400)),
        Case::new("absolute, the same", head("http://a/f/ada/hello", "Host: a\r\n"), Passes),
        Case::new("absolute, in capitals", head("HTTP://A/f/ada/hello", "Host: a\r\n"), Passes),
        Case::new("absolute, another host", head("http://evil/f/ada/hello", "Host: a\r\n"), Closed(400)),
        Case::new("absolute, another port", head("http://a:81/f/ada/hello", "Host: a\r\n"), Closed(400)),
        Case::new("an empty Host", head("/f/ada/hello", "Host:\r\n"), Passes),
        Case::new("absolute, an empty Host", head("http://a/f/ada/hello", "Host:\r\n"), Closed(400)),
        Case::new("absolute, no host", head("http:///f/ada/hello", "Host:\r\n"), Closed(400)),
        Case::new("absolute, no Host", head("http://a/f/ada/hello", ""), Closed(400)),
        Case::new("absolute, with a user", head("http://u@a/f/ada/hello", "Host: a\r\n"), Closed(400)),
        Case::new(
            "absolute, with a user there too",
            head("http://u@a/f/ada/hello", "Host: u@a\r\n"),
            Closed(400),
        ),
        Case::new("absolute, another scheme", head("ftp://a/f/ada/hello", "Host: a\r\n"), Closed(400)),
        Case::new("absolute, a file", head("file:///f/ada/hello", "Host: a\r\n"), Closed(400)),
        Case::new("no path", head("http://a", "Host: a\r\n"), Refused(404)),
        Case::new("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        Case::new("an authority", head("a:80", "Host: a\r\n"), Closed(400)),
        Case::new("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", Closed(400)),
        Case::new("relative", head("f/ada/hello", "Host: a\r\n"), Closed(400)),
    ];
    for host in
        ["a:80", "A", "a.b-c.example:8080", "127.0.0.1:1", "[::1]", "[::1]:80", "xn--bcher-kva.example", "a."]
    {
        cases.push(Case::new(host, head("/f/ada/hello", &format!("Host: {host}\r\n")), Passes));
    }
    for host in [
        "a b",
        "a, evil",
        "a,evil",
        "a/",
        "/",
        "a/f",
        "u@a",
        "a@evil",
        "a?",
        "a#",
        "a\\",
        "http://a",
        "[::1",
        "::1",
        "a:b",
        "a:80:80",
        "a:-1",
        "a:99999999",
        "<a>",
        "\"a\"",
        "a\tb",
        "a%00",
        "é",
    ] {
        let lines = format!("Host: {host}\r\n");
        cases.push(Case::new(format!("Host: {host:?}"), head("/f/ada/hello", &lines), Closed(400)));
    }
    run(&cases).await;
}

#[tokio::test]
async fn a_target_that_could_be_read_in_two_ways_is_refused() {
    let mut cases = Vec::new();
    for target in [
        "/f/../api/v1/users",
        "/f/ada/../../api/v1/users",
        "/f/ada/hello/..",
        "/f/ada/hello/../..",
        "/f/ada/hello/.",
        "/f/./ada/hello",
        "/f/%2e%2e/api/v1/users",
        "/f/ada/%2e%2e/eve",
        "/f/ada/hello/%2E%2e/x",
        "/f/ada/hello/.%2e/x",
        "/f/ada/hello/%2e./x",
        "/f/ada/hello/%2e",
        "/f/ada%2fhello",
        "/f/ada%5chello",
        "/f/ada/he%00llo",
        "/f/ada/%68ello",
        "/f/ada/hello/..%2fx",
        "/f/ada/hello/..%2F..%2f..%2fapi",
        "/f/ada/hello/%2e%2e%2fx",
        "/f/ada/hello/..%5c..%5cx",
        "/f/ada/hello/x%2f..",
        "/f/ada/hello/x%5C%2e%2e%5Cy",
        "/f/ada/hello/..\\x",
        "/f/ada/hello\\x",
        "/f/ada/hello/%",
        "/f/ada/hello/%2",
        "/f/ada/hello/%zz",
        "/f/ada/hello/%u002e",
        "/f//ada/../hello",
        "//f/ada/hello",
        "///f/ada/hello",
        "/%66/../f/ada/hello",
        "/./f/ada/hello",
        "/api/../f/ada/hello",
        "/api/%2e%2e/f/ada/hello",
        "/api/%252e%252e/f/ada/hello",
        "/api/..%2ff/ada/hello",
        "/api/..;/f/ada/hello",
        "/api/..;x=y/f/ada/hello",
        "/f/ada/hello/..;/x",
        "/f/ada/hello/%2e%2e;/x",
        "/f/ada/hello/.;x",
        "/f/ada/hello/..%3bx",
        "/api/%00",
        "/api/%0d%0aX-User-Id:%20evil",
        "/api/v1/functions%2f..%2fusers",
        "/api/v1/functions%5cx",
    ] {
        cases.push(Case::new(target, get(target, ""), Refused(400)));
    }
    for target in ["/f/ada/hello/é", "/f/ada/hello?é", "/f/ada/hello?a=<b>", "/f/ada/hello?a=\"b\""] {
        cases.push(Case::new(target, get(target, ""), Closed(400)));
    }
    cases.push(Case::new("a fragment", get("/f/ada/hello#/../..", ""), Closed(400)));
    let seen = run(&cases).await;
    assert!(seen.iter().all(|request| request.target.starts_with("/f/eve/smuggled-")), "{seen:?}");
}
