use std::time::Duration;

use actix_web::web::{self, Data};
use slipway_web::resource;
use tokio::sync::Semaphore;

use crate::{BOUND, Running, start};

/// Lets a test know that a request has begun, and decide when it ends.
struct Gate {
    begun: Semaphore,
    end: Semaphore,
}

async fn slow(gate: Data<Gate>) -> &'static str {
    gate.begun.add_permits(1);
    gate.end.acquire().await.unwrap().forget();
    "done"
}

fn service(drain: Duration) -> (Running, Data<Gate>) {
    let gate = Data::new(Gate { begun: Semaphore::new(0), end: Semaphore::new(0) });
    let shared = gate.clone();
    let running = start(drain, move |app| {
        app.app_data(shared.clone())
            .service(resource("/slow").route(web::get().to(slow)))
            .service(resource("/quick").route(web::get().to(async || "done")));
    });
    (running, gate)
}

async fn begin(running: &Running, gate: &Gate) -> tokio::task::JoinHandle<reqwest::Result<String>> {
    let request = running.client.get(format!("{}/slow", running.base)).send();
    let answer = tokio::spawn(async { request.await?.error_for_status()?.text().await });
    tokio::time::timeout(BOUND, gate.begun.acquire()).await.unwrap().unwrap().forget();
    answer
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_a_new_one_is_not_taken() {
    let (running, gate) = service(Duration::from_mins(10));
    let answer = begin(&running, &gate).await;
    running.stop.cancel();
    let refused = async {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        while client.get(format!("{}/quick", running.base)).send().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, refused).await.unwrap();
    assert!(!running.ended.is_finished());
    gate.end.add_permits(1);
    assert_eq!(tokio::time::timeout(BOUND, answer).await.unwrap().unwrap().unwrap(), "done");
    running.stopped().await;
}

#[tokio::test]
async fn a_connection_that_is_idle_does_not_hold_up_a_stop() {
    let (running, _) = service(Duration::from_mins(10));
    assert_eq!(running.get("/quick").await.unwrap().text().await.unwrap(), "done");
    let client = running.client.clone();
    running.stopped().await;
    drop(client);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_when_its_time_is_over() {
    let (running, gate) = service(Duration::from_secs(1));
    let answer = begin(&running, &gate).await;
    running.stopped().await;
    assert!(answer.await.unwrap().is_err());
}

#[tokio::test]
async fn the_port_is_free_once_a_service_is_gone_without_a_stop() {
    let (running, _) = service(Duration::ZERO);
    running.get("/quick").await.unwrap();
    running.ended.abort();
    let address = running.base.trim_start_matches("http://").to_owned();
    let free = async {
        while std::net::TcpListener::bind(&address).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, free).await.unwrap();
}
