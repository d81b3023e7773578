//! The authorization matrix: every route that any service registers, as every kind of caller, through the gateway.
//!
//! What is expected follows from what is declared of a route ([`facts`]) and of a caller ([`callers`]). Which routes there
//! are is read from the tables themselves ([`registered`]), so that one that is not declared fails the test.

mod callers;
mod expected;
mod facts;
mod registered;

use std::collections::BTreeSet;

use reqwest::Method;
use slipway_end_to_end::{Mode, Platform};

use callers::{CALLERS, Caller, World};
use expected::{Expected, expected};
use facts::{Effect, ROUTES, Route, Who};

#[test]
fn every_route_that_is_registered_is_declared_and_none_that_is_not() {
    let declared: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (route.method.to_owned(), registered::shape(route.path))).collect();
    assert_eq!(declared.len(), ROUTES.len(), "no route is declared twice");
    let registered = registered::routes();
    let undeclared: Vec<_> = registered.difference(&declared).collect();
    assert!(undeclared.is_empty(), "say in matrix/facts.rs who may call {undeclared:?}");
    let unregistered: Vec<_> = declared.difference(&registered).collect();
    assert!(unregistered.is_empty(), "no service has {unregistered:?}");
}

#[test]
fn every_prefix_that_the_gateway_lets_through_leads_to_a_declared_route() {
    for prefix in registered::gateway_prefixes() {
        let below = format!("{prefix}/");
        let leads = |route: &Route| route.path == prefix || route.path.starts_with(&below);
        assert!(ROUTES.iter().any(leads), "nothing is declared below {prefix}");
    }
}

/// Calls that change nothing which others need come first, then those that do: by a session of their own, in the table's
/// order.
#[tokio::test]
async fn every_route_admits_whom_it_is_for_and_nobody_else() {
    let platform = Platform::start_with(Mode::Standalone, &[("AUTH_REGISTRATION", "approval")]).await;
    let world = World::make(&platform).await;
    let mut wrong = Vec::new();
    let mut cells = 0;
    let is_final = |route: &Route, caller: &Caller| {
        route.effect != Effect::None && expected(route, caller) == Expected::Admitted
    };
    for is_last in [false, true] {
        for route in &ROUTES {
            for caller in CALLERS.iter().filter(|caller| is_final(route, caller) == is_last) {
                let authorization = world.authorization(caller, is_last).await;
                let path = world.path(route, is_last).await;
                let (status, code) = call(&world, route, &path, authorization.as_deref()).await;
                let expected = expected(route, caller);
                cells += 1;
                if !expected.is_met(status, &code) {
                    let Route { method, path, .. } = route;
                    wrong.push(format!("{} {method} {path}: {status} {code}, not {expected:?}", caller.name));
                }
            }
        }
    }
    assert_eq!(cells, ROUTES.len() * CALLERS.len());
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}

async fn call(world: &World, route: &Route, path: &str, authorization: Option<&str>) -> (u16, String) {
    let method = if route.method == registered::ANY { "GET" } else { route.method };
    let mut request = world.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    if let Some(body) = route.body {
        request = request.header("content-type", "application/json").body(body);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: serde_json::Value = answer.json().await.unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// The rows of what is private are there to show that the gateway knows nothing of them.
#[test]
fn what_is_private_is_below_no_prefix_of_the_gateway() {
    let prefixes = registered::gateway_prefixes();
    for route in ROUTES.iter().filter(|route| route.who == Who::Inside) {
        let covers = |prefix: &String| route.path.starts_with(prefix.as_str());
        assert!(!prefixes.iter().any(covers), "{}", route.path);
    }
}
