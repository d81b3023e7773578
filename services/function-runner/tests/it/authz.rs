use std::collections::BTreeSet;

use reqwest::Method;
use slipway_function_runner::FunctionRunner;
use slipway_kernel::UserId;
use slipway_web::Service as _;

use crate::harness::TestRunner;

/// Every route of function-runner; each is for people. The test fails when a documented one is missing here.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/api/v1/functions"),
    ("POST", "/api/v1/functions/deploy"),
    ("GET", "/api/v1/functions/{id}"),
    ("PATCH", "/api/v1/functions/{id}"),
    ("DELETE", "/api/v1/functions/{id}"),
    ("GET", "/api/v1/functions/{id}/deployments"),
    ("POST", "/api/v1/functions/{id}/rollback"),
    ("POST", "/api/v1/functions/{id}/invoke"),
    ("GET", "/api/v1/functions/{id}/executions"),
    ("GET", "/api/v1/functions/{id}/logs"),
    ("GET", "/api/v1/functions/{id}/secrets"),
    ("PUT", "/api/v1/functions/{id}/secrets/{key}"),
    ("DELETE", "/api/v1/functions/{id}/secrets/{key}"),
    ("GET", "/api/v1/functions/{id}/keys"),
    ("POST", "/api/v1/functions/{id}/keys"),
    ("DELETE", "/api/v1/functions/{id}/keys/{key}"),
    ("GET", "/api/v1/functions/{id}/stats"),
    ("GET", "/api/v1/executions/{id}"),
    ("POST", "/api/v1/executions/{id}/cancel"),
    ("POST", "/api/v1/executions/{id}/replay"),
    ("GET", "/api/v1/deployments/{id}"),
    ("GET", "/api/v1/deployments/{id}/logs"),
];

#[test]
fn every_documented_route_is_listed() {
    let listed: BTreeSet<&str> = ROUTES.iter().map(|(_, path)| *path).collect();
    for path in FunctionRunner::openapi().paths.paths.keys() {
        assert!(listed.contains(path.as_str()), "{path} has no row in ROUTES");
    }
}

#[tokio::test]
async fn routes_admit_people_and_nobody_else() {
    let runner = TestRunner::start().await;
    let person = runner.person().authorization;
    let service = runner.surroundings().callers.service("gateway");
    for &(method, path) in ROUTES {
        let url = format!(
            "{}{}",
            runner.base,
            path.replace("{id}", &UserId::generate().to_string()).replace("{key}", "KEY")
        );
        for (who, authorization, expected) in [
            ("anonymous", None, 401),
            ("forged", Some("Bearer a.b.c"), 401),
            ("service", Some(service.as_str()), 403),
        ] {
            let mut request = runner.client.request(Method::from_bytes(method.as_bytes()).unwrap(), &url);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            assert_eq!(request.send().await.unwrap().status(), expected, "{who} {method} {path}");
        }
        let request = runner.client.request(Method::from_bytes(method.as_bytes()).unwrap(), &url);
        let status = request.header("authorization", &person).send().await.unwrap().status().as_u16();
        assert!(!matches!(status, 401 | 403 | 405), "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn a_function_of_another_is_not_there() {
    let runner = TestRunner::start().await;
    let (ada, eve) = (runner.person(), runner.person());
    let deployed =
        runner.deploy("mine", &[("main.py", "def handle(request, context): return 1")], &ada).await;
    let function = deployed["function"]["id"].as_str().unwrap();
    let deployment = deployed["deployment"]["id"].as_str().unwrap();

    for path in [
        format!("/api/v1/functions/{function}"),
        format!("/api/v1/functions/{function}/deployments"),
        format!("/api/v1/functions/{function}/secrets"),
        format!("/api/v1/functions/{function}/keys"),
        format!("/api/v1/deployments/{deployment}"),
        format!("/api/v1/deployments/{deployment}/logs"),
    ] {
        assert_eq!(runner.get(&path, &ada).await.status(), 200, "{path}");
        assert_eq!(runner.get(&path, &eve).await.status(), 404, "{path}");
    }
    let path = format!("/api/v1/functions/{function}");
    let secret = format!("{path}/secrets/KEY");
    let set = runner.request(Method::PUT, &secret, &eve).json(&serde_json::json!({"value": "hers"}));
    assert_eq!(set.send().await.unwrap().status(), 404);
    assert_eq!(runner.delete(&secret, &eve).await.status(), 404);
    assert_eq!(runner.delete(&path, &eve).await.status(), 404);
    let change = runner.request(Method::PATCH, &path, &eve).json(&serde_json::json!({"memory_mb": 64}));
    assert_eq!(change.send().await.unwrap().status(), 404);
    assert_eq!(runner.read("/api/v1/functions", &eve).await["items"], serde_json::json!([]));
    // The same name is another function of hers, and the same files another image.
    let hers = runner.deploy("mine", &[("main.py", "def handle(request, context): return 1")], &eve).await;
    assert_ne!(hers["function"]["id"], deployed["function"]["id"]);
    assert_eq!(runner.images().await.len(), 2);
}
