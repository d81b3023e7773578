use std::collections::BTreeSet;

use reqwest::Method;
use slipway_auth::Auth;
use slipway_kernel::SessionId;
use slipway_models::auth::UserType;
use slipway_web::Service as _;

use crate::harness::TestAuth;

/// Who may call a route.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Everyone,
    People,
    Services,
    Admins,
}

/// Every route of auth. The test fails when a documented one is missing here.
const ROUTES: [(&str, &str, Access); 49] = [
    ("POST", "/api/v1/auth/register", Access::Everyone),
    ("GET", "/api/v1/auth/prelogin", Access::Everyone),
    ("PUT", "/api/v1/auth/password", Access::People),
    ("POST", "/api/v1/auth/password/forgot", Access::Everyone),
    ("POST", "/api/v1/auth/password/reset", Access::Everyone),
    ("POST", "/api/v1/auth/email/verify", Access::Everyone),
    ("POST", "/api/v1/auth/login", Access::Everyone),
    ("POST", "/api/v1/auth/refresh", Access::Everyone),
    ("POST", "/api/v1/auth/logout", Access::People),
    ("POST", "/api/v1/auth/logout-all", Access::People),
    ("GET", "/api/v1/auth/sessions", Access::People),
    ("DELETE", "/api/v1/auth/sessions/{id}", Access::People),
    ("GET", "/api/v1/auth/jwks.json", Access::Everyone),
    ("GET", "/.well-known/jwks.json", Access::Everyone),
    ("GET", "/api/v1/users/me", Access::People),
    ("PUT", "/api/v1/users/me", Access::People),
    ("GET", "/api/v1/profile", Access::People),
    ("PUT", "/api/v1/profile", Access::People),
    ("GET", "/api/v1/users/me/permissions", Access::People),
    ("GET", "/api/v1/users/lookup", Access::People),
    ("POST", "/api/v1/users", Access::Admins),
    ("GET", "/api/v1/users/{id}", Access::Admins),
    ("DELETE", "/api/v1/users/{id}", Access::Admins),
    ("GET", "/api/v1/admin/users", Access::Admins),
    ("PATCH", "/api/v1/admin/users/{id}", Access::Admins),
    ("POST", "/api/v1/admin/users/{id}/approve", Access::Admins),
    ("POST", "/api/v1/admin/users/{id}/reject", Access::Admins),
    ("POST", "/api/v1/admin/users/{id}/reset-password", Access::Admins),
    ("GET", "/api/v1/admin/users/{id}/apps", Access::Admins),
    ("PUT", "/api/v1/admin/users/{id}/apps", Access::Admins),
    ("GET", "/api/v1/groups", Access::People),
    ("POST", "/api/v1/groups", Access::People),
    ("GET", "/api/v1/groups/{id}", Access::People),
    ("PATCH", "/api/v1/groups/{id}", Access::People),
    ("DELETE", "/api/v1/groups/{id}", Access::People),
    ("GET", "/api/v1/groups/{id}/members", Access::People),
    ("PUT", "/api/v1/groups/{id}/members/{user_id}", Access::People),
    ("DELETE", "/api/v1/groups/{id}/members/{user_id}", Access::People),
    ("GET", "/api/v1/groups/{id}/apps", Access::People),
    ("PUT", "/api/v1/groups/{id}/apps", Access::Admins),
    ("GET", "/api/v1/api-keys", Access::People),
    ("POST", "/api/v1/api-keys", Access::People),
    ("DELETE", "/api/v1/api-keys/{id}", Access::People),
    ("GET", "/api/v1/audit", Access::Admins),
    ("GET", "/api/v1/audit/verify", Access::Admins),
    ("POST", "/internal/api-keys", Access::Services),
    ("POST", "/internal/audit", Access::Services),
    ("GET", "/internal/deleted-users", Access::Services),
    ("GET", "/internal/revocations", Access::Services),
];

#[test]
fn every_documented_route_is_listed() {
    let listed: BTreeSet<(&str, &str)> = ROUTES.iter().map(|(method, path, _)| (*method, *path)).collect();
    let api = serde_json::to_value(Auth::openapi()).unwrap();
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            assert!(listed.contains(&(&*method, path)), "{method} {path} has no row in ROUTES");
        }
    }
}

#[tokio::test]
async fn routes_admit_whom_they_are_for_and_nobody_else() {
    let auth = TestAuth::start().await;
    let person = auth.callers.person(UserType::Regular).authorization;
    let qvp = auth.callers.person(UserType::Qvp).authorization;
    let admin = auth.callers.person(UserType::Admin).authorization;
    let service = auth.callers.service("gateway");
    for (method, path, access) in ROUTES {
        for (who, authorization, admitted) in [
            ("anonymous", None, access == Access::Everyone),
            ("forged", Some("Bearer a.b.c".to_owned()), access == Access::Everyone),
            ("person", Some(person.clone()), matches!(access, Access::Everyone | Access::People)),
            ("qvp", Some(qvp.clone()), matches!(access, Access::Everyone | Access::People)),
            ("admin", Some(admin.clone()), access != Access::Services),
            ("service", Some(service.clone()), matches!(access, Access::Everyone | Access::Services)),
        ] {
            let id = SessionId::generate().to_string();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let url = format!("{}{}", auth.base, path.replace("{id}", &id).replace("{user_id}", &id));
            let mut request = auth.client.request(method.clone(), url);
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization);
            }
            let status = request.send().await.unwrap().status().as_u16();
            assert_ne!(status, 405, "{method} {path} exists");
            assert_eq!(matches!(status, 401 | 403), !admitted, "{who} {method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn an_x_user_id_that_differs_from_the_identity_is_refused() {
    let auth = TestAuth::start().await;
    let caller = auth.callers.person(UserType::Regular);
    let other = slipway_kernel::UserId::generate();
    let request = auth.client.get(format!("{}/api/v1/users/me", auth.base));
    let answer = request
        .header("authorization", caller.authorization)
        .header("x-user-id", other.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn the_caller_sees_their_own_account() {
    let auth = TestAuth::start().await;
    let registered = auth.register("ada@example.org").await;
    let user = registered["user"]["id"].as_str().unwrap().parse().unwrap();
    let caller = auth.callers.session(user, SessionId::generate(), UserType::Regular);
    let me: serde_json::Value =
        auth.get_as("/api/v1/users/me", &caller.authorization).await.json().await.unwrap();
    assert_eq!(me, registered["user"]);
}
