use std::time::Duration;

use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;
use futures_util::stream::{iter, pending};
use slipway_web::{Event, LastEventId, event_stream, resource};

use crate::{BOUND, Running, start};

async fn numbers(request: HttpRequest, last: LastEventId) -> actix_web::HttpResponse {
    let seen: u32 = last.0.and_then(|id| id.parse().ok()).unwrap_or(0);
    let events = (seen + 1..=3).map(|number| Event::new(format!("number {number}")).with_id(&number));
    let end = Event::new("all").named("end");
    event_stream(&request, iter(events).chain(iter([end])))
}

async fn silence(request: HttpRequest) -> actix_web::HttpResponse {
    event_stream(&request, pending())
}

async fn flood(request: HttpRequest) -> actix_web::HttpResponse {
    event_stream(&request, iter(0_u64..).map(|number| Event::new(number.to_string())))
}

fn service(drain: Duration) -> Running {
    start(drain, |app| {
        app.service(resource("/numbers").route(web::get().to(numbers)))
            .service(resource("/silence").route(web::get().to(silence)))
            .service(resource("/flood").route(web::get().to(flood)));
    })
}

#[tokio::test]
async fn events_come_with_their_ids_and_go_on_after_the_last_one_seen() {
    let running = service(Duration::ZERO);
    let answer = running.get("/numbers").await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(
        answer.text().await.unwrap(),
        "retry: 2000\n\nid: 1\ndata: number 1\n\nid: 2\ndata: number 2\n\nid: 3\ndata: number 3\n\n\
         event: end\ndata: all\n\n"
    );
    let again = running.client.get(format!("{}/numbers", running.base)).header("last-event-id", "2");
    let rest = again.send().await.unwrap().text().await.unwrap();
    assert_eq!(rest, "retry: 2000\n\nid: 3\ndata: number 3\n\nevent: end\ndata: all\n\n");
    running.stopped().await;
}

#[tokio::test]
async fn a_stop_ends_what_would_never_end() {
    let running = service(Duration::from_mins(10));
    let quiet = running.get("/silence").await.unwrap();
    let endless = running.get("/flood").await.unwrap();
    running.stop.cancel();
    assert_eq!(tokio::time::timeout(BOUND, quiet.text()).await.unwrap().unwrap(), "retry: 2000\n\n");
    tokio::time::timeout(BOUND, endless.text()).await.unwrap().unwrap();
    running.stopped().await;
}
