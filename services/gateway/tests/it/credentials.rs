//! What a caller shows the gateway to be known by stays with the gateway.

use slipway_models::api_keys::Scope;

use crate::api_keys::add_key;
use crate::harness::TestGateway;
use crate::raw;
use crate::tap::Tapped;

/// One of each kind: open, for who signed in, of an app, of functions, and those of auth that see cookies.
const ROUTES: [&str; 14] = [
    "GET /api/v1/auth/jwks.json",
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/logout",
    "GET /api/v1/auth/sessions",
    "GET /api/users/me",
    "POST /api/v1/api-keys",
    "GET /api/v1/functions?a=b",
    "POST /api/v1/functions/deploy",
    "GET /api/v1/executions",
    "GET /f/ada/hello",
    "POST /f/ada/hello/x%2fy?a=b",
];

/// Where somebody may put a credential, rightly or not; `$` stands for it.
const PLACES: [&str; 42] = [
    "Authorization: Bearer $",
    "authorization: bearer $",
    "AUTHORIZATION: BEARER  $",
    "Authorization: Bearer $ ",
    "Authorization: Bearer\tS",
    "Authorization: $",
    "Authorization: Basic $",
    "Authorization: Token $",
    "Authorization: Bearer x\r\nAuthorization: Bearer $",
    "Authorization: Bearer $\r\nauthorization: Bearer $",
    "Authorization: Bearer x, Bearer $",
    "Authorization:\r\nAuthorization: Bearer $",
    "Connection: Authorization\r\nAuthorization: Bearer $",
    "Authorization: Bearer $\r\nConnection: keep-alive, authorization",
    "Proxy-Authorization: Bearer $",
    "Proxy_Authorization: Bearer $",
    "X-Api-Key: $",
    "x-api-key: $",
    "X_Api_Key: $",
    "x_api-key: $",
    "X.Api.Key: $",
    "X-Api-Key: Bearer $",
    "X-Api-Key: x\r\nX-Api-Key: $",
    "X-Api-Key: $\r\nX-Api-Key: $",
    "Connection: x-api-key\r\nX-Api-Key: $",
    "Connection: X_Api_Key\r\nX_Api_Key: $",
    "X-Api-Key: $\r\nAuthorization: Bearer $",
    "Cookie: __Host-slipway_access=$",
    "cookie: a=b; __Host-slipway_access=$; c=d",
    "Cookie: a=b\r\nCookie: __Host-slipway_access=$",
    "Cookie: __Host-slipway_access=$\r\nCookie: __Host-slipway_access=$",
    "Cookie: __Host-slipway_access=\"$\"",
    "Cookie: __host-slipway_access=$",
    "Cookie: __HOST-SLIPWAY_ACCESS=$",
    "Cookie: slipway_access=$",
    "Cookie: __Host-slipway_access=x; __Host-Slipway_Access=$",
    "Cookie: __host-slipway_refresh=$",
    "Cookie: token=$",
    "Cookie2: $",
    "Connection: Cookie\r\nCookie: __Host-slipway_access=$",
    "X-User-Id: $",
    "X-Slipway-Identity: $\r\nForwarded: for=$\r\nX-Forwarded-User: $",
];

fn is_in(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Fails when a part of a credential that is as good as the whole is anywhere in what services were sent.
fn none_is_in(tapped: &[Tapped], secrets: &[&str]) {
    for bytes in tapped.iter().flat_map(Tapped::bytes) {
        for secret in secrets {
            let tail = &secret[secret.len() - secret.len().min(40)..];
            let line = bytes.split(|byte| *byte == b'\n').find(|line| is_in(line, tail));
            assert!(line.is_none(), "{}", String::from_utf8_lossy(line.unwrap()));
        }
    }
}

async fn send(gateway: &TestGateway, route: &str, lines: &str) {
    let request =
        format!("{route} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{lines}Connection: close\r\n\r\n{{}}");
    let answer = raw::exchange(gateway.address, &request).await;
    let status = answer.split(' ').nth(1).unwrap();
    assert!(["200", "400", "401", "403"].contains(&status), "{route} {lines}: {answer}");
}

#[tokio::test]
async fn no_service_is_sent_what_a_caller_is_known_by_wherever_it_stands() {
    let (gateway, tapped) = TestGateway::start_tapped(&[]).await;
    let token = gateway.sign_in().token;
    let (key, _) = add_key(&gateway, &Scope::all().collect::<Vec<_>>());
    let carrier = gateway.sign_in().token;
    // With another credential that is good, what stands elsewhere would pass along with it.
    let carriers = [
        String::new(),
        format!("Authorization: Bearer {carrier}\r\n"),
        format!("Cookie: __Host-slipway_access={carrier}\r\nOrigin: https://a\r\n"),
    ];
    for route in ROUTES {
        for place in PLACES {
            for secret in [&token, key.expose()] {
                for carrier in &carriers {
                    send(&gateway, route, &format!("{carrier}{}\r\n", place.replace('$', secret))).await;
                }
            }
        }
    }
    none_is_in(&tapped, &[&token, key.expose(), &carrier]);
    let seen: Vec<_> = tapped.iter().flat_map(Tapped::requests).collect();
    for route in ROUTES {
        let path = route.split([' ', '?']).nth(1).unwrap().replace("/api/users", "/api/v1/users");
        let path = path.replace("/api/login", "/api/v1/auth/login");
        let passed = seen.iter().filter(|request| request.target.starts_with(&path)).count();
        assert!(passed >= 40, "{route}: only {passed} passed, which shows little");
    }
}

#[tokio::test]
async fn the_refresh_token_is_sent_to_auths_two_routes_alone_and_only_as_its_cookie() {
    let (gateway, tapped) = TestGateway::start_tapped(&[]).await;
    let caller = gateway.sign_in().token;
    let refresh = "r3fr3sh-t0k3n-0123456789-abcdefghijklmnopqrstuvwxyz";
    let places = [
        "Cookie: __Host-slipway_refresh=$",
        "Cookie: a=b; __Host-slipway_refresh=$; __Host-slipway_access=x",
        "Cookie: a=b\r\nCookie: __Host-slipway_refresh=$",
        "Cookie: __host-slipway_refresh=$",
        "Cookie: slipway_refresh=$",
        "Cookie: __Host-slipway_refresh=$\r\nCookie: __Host-slipway_refresh=$",
        "Cookie: __Host-slipway_refresh=$\r\nX-Api-Key: $\r\nProxy-Authorization: $",
        "Connection: cookie\r\nCookie: __Host-slipway_refresh=$",
        "Cookie_: __Host-slipway_refresh=$\r\nCookie2: $",
    ];
    for route in ROUTES {
        for place in places {
            for carrier in ["", &format!("Authorization: Bearer {caller}\r\n")] {
                let lines = format!("{carrier}Origin: https://a\r\n{}\r\n", place.replace('$', refresh));
                send(&gateway, route, &lines).await;
            }
        }
    }
    none_is_in(&tapped, &[&caller]);
    none_is_in(&tapped[1..], &[refresh]);
    let cookie = format!("__Host-slipway_refresh={refresh}");
    let mut passed = 0;
    for request in tapped[0].requests() {
        let is_right = ["/api/v1/auth/refresh", "/api/v1/auth/logout"].contains(&request.target.as_str());
        for (name, value) in &request.headers {
            if value.contains(refresh) {
                assert!(is_right && name == "cookie" && *value == cookie, "{request:?}");
                passed += 1;
            }
        }
    }
    assert!(passed >= 10, "{passed}");
}

#[tokio::test]
async fn a_token_in_a_query_is_none_and_is_not_passed_to_the_platforms_own_services() {
    let (gateway, tapped) = TestGateway::start_tapped(&[]).await;
    let token = gateway.sign_in().token;
    let carrier = format!("Authorization: Bearer {token}\r\n");
    for route in
        ["GET /api/v1/functions", "GET /api/users/me", "POST /api/login", "GET /api/v1/auth/jwks.json"]
    {
        for name in ["access_token", "Access_Token", "a=b&access_token", "access%5Ftoken", "a;access_token"] {
            for carrier in ["", &carrier] {
                send(&gateway, &format!("{route}?{name}={token}"), carrier).await;
            }
        }
    }
    none_is_in(&tapped, &[&token]);
}
