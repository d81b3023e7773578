//! A service's two listeners: the one that serves, and the private one for operations.

use std::fmt::Debug;
use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use actix_http::{HttpService, Request};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Server};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{App, Error, HttpServer, Resource};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use slipway_config::Reader;
use slipway_telemetry::Metrics;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::health::{self, Readiness};
use crate::request::{ServiceName, request_scope};
use crate::sse::Stopping;
use crate::strict::Strict;
use crate::{Problem, method_not_allowed, no_such_route};

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Within this the head of a connection's first request is whole.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to close its end after the server closed its own.
const LINGER: Duration = Duration::from_secs(1);

/// Where a service listens, and how it stops.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address of the serving listener. Port 0 takes any free one.
    pub address: SocketAddr,
    /// The address of the operations listener.
    pub operations_address: SocketAddr,
    /// How many threads serve.
    pub workers: usize,
    /// How long requests in flight may take to finish at a stop.
    pub drain: Duration,
}

impl ServerConfig {
    /// Reads `<PREFIX>_HOST` and `<PREFIX>_OPERATIONS_HOST` (127.0.0.1 each: who publishes the one does not publish the
    /// other), `<PREFIX>_PORT`, `<PREFIX>_OPERATIONS_PORT`, `<PREFIX>_WORKERS` (1 to 256, the number of processors) and
    /// `<PREFIX>_DRAIN_SECONDS` (0 to 3,600, 20).
    pub fn read(reader: &mut Reader<'_>, prefix: &str, port: u16, operations_port: u16) -> Self {
        Self::read_with(reader, prefix, &format!("{prefix}_HOST"), port, operations_port)
    }

    /// Reads the same, but the address of the listener that serves from the variable `host`.
    pub fn read_with(
        reader: &mut Reader<'_>,
        prefix: &str,
        host: &str,
        port: u16,
        operations_port: u16,
    ) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let host = reader.or(host, loopback);
        let operations_host = reader.or(&format!("{prefix}_OPERATIONS_HOST"), loopback);
        let port = reader.or(&format!("{prefix}_PORT"), port);
        let operations_port = reader.or(&format!("{prefix}_OPERATIONS_PORT"), operations_port);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            address: SocketAddr::new(host, port),
            operations_address: SocketAddr::new(operations_host, operations_port),
            workers: reader.within(&format!("{prefix}_WORKERS"), processors, 1..=256),
            drain: Duration::from_secs(reader.within(&format!("{prefix}_DRAIN_SECONDS"), 20, 0..=3_600)),
        }
    }
}

/// A service whose ports are bound and which serves once it is run.
pub struct Application {
    address: SocketAddr,
    operations_address: SocketAddr,
    serving: BoxFuture<'static, io::Result<()>>,
    /// Has the listener that serves stop, and drain.
    stop_serving: BoxFuture<'static, ()>,
    operations: Server,
    on_stop: Option<BoxFuture<'static, ()>>,
}

impl Application {
    /// Binds both listeners. `routes` adds the service's own routes and data, once per thread.
    pub fn bind(
        service: &'static str,
        config: &ServerConfig,
        metrics: Metrics,
        readiness: Readiness,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let listener = listen(config.address)?;
        let operations_listener = listen(config.operations_address)?;
        let address = listener.local_addr()?;
        let operations_address = operations_listener.local_addr()?;

        let measured = Data::new(metrics);
        let shown = measured.clone();
        let stopping = Stopping::default();
        let told = stopping.clone();
        let serving = serve(listener, config, move || {
            App::new()
                .app_data(ServiceName(service))
                .app_data(measured.clone())
                .app_data(told.clone())
                .app_data(PathConfig::default().error_handler(|fault, _| {
                    Problem::invalid_request(format!("the path cannot be read: {fault}")).into()
                }))
                .app_data(QueryConfig::default().error_handler(|fault, _| {
                    Problem::invalid_request(format!("the query cannot be read: {fault}")).into()
                }))
                .default_service(web::to(no_such_route))
                .configure(routes.clone())
                .wrap(from_fn(request_scope))
        })?;
        let handle = serving.handle();
        let stop_serving = async move {
            stopping.0.cancel();
            handle.stop(true).await;
        };
        let operations = operate(operations_listener, shown, readiness)?;
        Ok(Self {
            address,
            operations_address,
            serving: Box::pin(serving),
            stop_serving: Box::pin(stop_serving),
            operations,
            on_stop: None,
        })
    }

    /// Binds both listeners, of which `serve` is given the one that serves. What it returns is done when all that it serves
    /// has ended, within the bound: after the token was cancelled that it is given, or because it failed.
    pub fn serving_by_itself<F>(
        config: &ServerConfig,
        metrics: Metrics,
        readiness: Readiness,
        serve: impl FnOnce(TcpListener, CancellationToken) -> io::Result<F>,
    ) -> io::Result<Self>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = listen(config.address)?;
        let operations_listener = listen(config.operations_address)?;
        let address = listener.local_addr()?;
        let operations_address = operations_listener.local_addr()?;
        let stopping = CancellationToken::new();
        let serving = serve(listener, stopping.clone())?;
        Ok(Self {
            address,
            operations_address,
            serving: Box::pin(serving),
            stop_serving: Box::pin(async move { stopping.cancel() }),
            operations: operate(operations_listener, Data::new(metrics), readiness)?,
            on_stop: None,
        })
    }

    /// Adds what is left to do when the last request is answered: end background work, leave nothing behind.
    #[must_use]
    pub fn on_stop(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.on_stop = Some(Box::pin(work));
        self
    }

    /// Returns where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where the operations listener is.
    pub fn operations_address(&self) -> SocketAddr {
        self.operations_address
    }

    /// Serves until `stop` is cancelled; then stops accepting, drains within the bound, and runs what
    /// [`Application::on_stop`] was given. Returns early when a listener fails.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> io::Result<()> {
        let operations = self.operations.handle();
        let mut serving = self.serving.fuse();
        let mut operating = pin!(self.operations.fuse());
        let outcome = tokio::select! {
            () = stop.cancelled() => {
                let ((), outcome) = tokio::join!(self.stop_serving, &mut serving);
                outcome
            }
            outcome = &mut serving => outcome,
            outcome = &mut operating => outcome,
        };
        tokio::select! {
            () = operations.stop(true) => {}
            _ = &mut operating => {}
        }
        if let Some(work) = self.on_stop {
            work.await;
        }
        outcome
    }
}

/// Makes a resource that answers methods it does not have with a problem (405).
pub fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

/// Serves as [`HttpServer`] does, which has no place for what reads a connection before it does: see [`Strict`].
fn serve<F, A, S, B>(listener: TcpListener, config: &ServerConfig, app: F) -> io::Result<Server>
where
    F: Fn() -> A + Clone + Send + 'static,
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as actix_service::Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let builder =
        Server::build().workers(config.workers).shutdown_timeout(config.drain.as_secs()).disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let connections = move || {
        let stopping = stopping.clone();
        let app = app().into_factory().map_err(|fault| fault.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_WITHIN)
            .client_disconnect_timeout(LINGER)
            .h1_allow_half_closed(true)
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(|stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            ready(Ok((Strict::new(stream), peer)))
        })
        .and_then(http)
    };
    Ok(builder.listen("serving", listener, connections)?.run())
}

/// Serves health and metrics.
fn operate(listener: TcpListener, metrics: Data<Metrics>, readiness: Readiness) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(Data::new(readiness.clone()))
            .configure(health::routes)
            .default_service(web::to(no_such_route))
    });
    Ok(server.workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .map_err(|cause| io::Error::new(cause.kind(), format!("cannot listen on {address}: {cause}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    #[test]
    fn publishing_a_service_does_not_publish_its_operations() {
        let settings = Settings::from_pairs([("GATEWAY_HOST", "0.0.0.0")]);
        let mut reader = Reader::new(&settings);
        let config = ServerConfig::read(&mut reader, "GATEWAY", 8080, 9080);
        assert_eq!(config.address.to_string(), "0.0.0.0:8080");
        assert_eq!(config.operations_address.to_string(), "127.0.0.1:9080");
    }
}
