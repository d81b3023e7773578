use reqwest::Method;
use reqwest::multipart::Form;

use crate::harness::{TestRunner, file, form, problem, zip_of};

fn archive() -> Vec<u8> {
    zip_of(&[("main.py", "def handle(request, context): return 1")])
}

#[tokio::test]
async fn each_fault_of_the_form_is_named() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let named = |config: &str| form("hello", archive()).text("config", config.to_owned());
    for (form, expected) in [
        (Form::new().text("name", "hello"), "/archive: is missing"),
        (
            Form::new().part("archive", file(archive())),
            "/name: is missing: name the function, or give its function_id",
        ),
        (form("hello", archive()).text("name", "other"), "/name: is there twice"),
        (form("hello", archive()).part("archive", file(archive())), "/archive: is there twice"),
        (
            form("hello", archive()).text("function_id", "x"),
            "/function_id: is given beside name: one of them will do",
        ),
        (
            form("Hello!", archive()),
            "/name: must start with a letter a to z and hold only a to z, 0 to 9 and -, at most 63 in all",
        ),
        (
            Form::new().text("function_id", "../1").part("archive", file(archive())),
            "/function_id: not a function id: expected a UUID",
        ),
        (
            form("hello", archive()).text("colour", "red"),
            "/colour: unknown field: the form takes name or function_id, archive and config",
        ),
        (named("{"), "/config: is not JSON: EOF while parsing an object at line 1 column 1"),
        (named(r#"{"memory_mb": 16}"#), "/config/memory_mb: must lie between 32 and 4096"),
    ] {
        let (status, code, detail) = problem(runner.send_form(form, "", &ada).await).await;
        assert_eq!((status, code.as_str(), detail.as_str()), (422, "validation_failed", expected));
    }
    let (status, _, detail) = problem(runner.send_form(named(r#"{"memory": 64}"#), "", &ada).await).await;
    assert_eq!(status, 422);
    assert!(detail.starts_with("/config/memory: unknown field `memory`"), "{detail}");
    assert_eq!(runner.state("uploads"), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let request = || runner.request(Method::POST, "/api/v1/functions/deploy", &ada);
    let (status, code, _) = problem(request().body("x").send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (415, "unsupported_media_type"));
    let cut = request().header("content-type", "multipart/form-data; boundary=b").body("--b\r\nContent-Dis");
    let (status, code, _) = problem(cut.send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "invalid_request"));
    assert_eq!(runner.get("/api/v1/functions/1", &ada).await.status(), 400);
    assert_eq!(runner.get("/api/v1/functions?limit=0", &ada).await.status(), 400);
    assert_eq!(runner.get("/api/v1/functions?cursor=x", &ada).await.status(), 400);
}

#[tokio::test]
async fn an_archive_over_the_limit_is_refused_without_being_kept() {
    let runner = TestRunner::start_with(&[("ARCHIVE_MAX_MB", "1")]).await;
    let ada = runner.person();
    for bytes in [1024 * 1024 + 1, 8 * 1024 * 1024] {
        let answer = runner.send_form(form("hello", vec![7; bytes]), "", &ada).await;
        let (status, code, _) = problem(answer).await;
        assert_eq!((status, code.as_str()), (413, "body_too_large"));
    }
    assert_eq!(runner.state("uploads"), Vec::<String>::new());
}

#[tokio::test]
async fn a_deployment_of_a_function_that_is_not_there_is_404() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let id = slipway_kernel::FunctionId::generate().to_string();
    let form = Form::new().text("function_id", id).part("archive", file(archive()));
    assert_eq!(problem(runner.send_form(form, "", &ada).await).await.0, 404);
    assert_eq!(runner.state("builds"), Vec::<String>::new());
}
