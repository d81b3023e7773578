use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web;
use actix_web::{Error, HttpResponse};
use serde_json::Value;
use slipway_web::{Problem, TIMEOUT_HEADER, resource};

use crate::{Running, start};

async fn panics() -> HttpResponse {
    panic!("on purpose")
}

fn service() -> Running {
    start(Duration::ZERO, |app| {
        app.service(resource("/panics/{id}").route(web::get().to(panics)))
            .service(resource("/refused").route(web::get().to(panics)).wrap(from_fn(
                async |_, _: actix_web::middleware::Next<actix_web::body::BoxBody>| {
                    Err::<actix_web::dev::ServiceResponse, Error>(Problem::forbidden("not this way").into())
                },
            )))
            .service(resource("/endless").route(web::get().to(std::future::pending::<HttpResponse>)))
            .service(resource("/things/{id}").route(web::get().to(HttpResponse::NoContent)));
    })
}

#[tokio::test]
async fn what_no_handler_answers_is_a_problem_with_the_request_id_all_the_same() {
    let running = service();
    for (path, status, code) in [("/panics/7", 500, "internal"), ("/refused", 403, "forbidden")] {
        let answer = running.get(path).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["code"], &body["request_id"]), (&code.into(), &id.into()));
        assert!(!body.to_string().contains("on purpose"), "{body}");
    }
    assert_eq!(running.get("/things/7").await.unwrap().status(), 204, "the service goes on");
    running.stopped().await;
}

#[tokio::test]
async fn what_the_gateway_waits_for_no_longer_is_dropped() {
    let running = service();
    let request = running.client.get(format!("{}/endless", running.base)).header(TIMEOUT_HEADER, "50");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 504);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "deadline_exceeded");
    running.stopped().await;
}

#[tokio::test]
async fn the_line_of_a_request_names_its_route_and_status_and_not_its_path() {
    let lines = Lines::default();
    let writer = lines.clone();
    // For the whole binary: the server has threads of its own.
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let running = service();
    let answer = running.get("/things/somebody").await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    running.stopped().await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains(&id)).unwrap();
    for part in [r#"http.route="/things/{id}""#, "http.response.status_code=204", "duration_ms="] {
        assert!(line.contains(part), "{part} is in {line}");
    }
    assert!(!line.contains("somebody"), "{line}");
}

/// Takes log lines in place of standard output.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
