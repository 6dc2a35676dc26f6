//! A server behind in-memory streams.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engineio_server::{CloseReason, Connection, Engine, EngineConfig, Event, ResponseBody};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{io::DuplexStream, sync::mpsc, task::JoinSet};

use crate::engine::{ByteStream, Connecting, Connector};

type Intercept = dyn Fn(&Request<Incoming>) -> Option<Response<ResponseBody>> + Send + Sync;

/// The events of the server's sessions.
pub(super) enum Happening {
    Closed(CloseReason),
}

#[derive(Clone)]
pub(super) struct Network(Arc<Inner>);

struct Inner {
    engine: Engine,
    intercept: Box<Intercept>,
    keep_alive: bool,
    connections: Mutex<JoinSet<()>>,
    log: Mutex<Vec<Seen>>,
    happenings: tokio::sync::Mutex<mpsc::UnboundedReceiver<Happening>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: http::Method,
    pub(super) uri: http::Uri,
    pub(super) headers: http::HeaderMap,
}

impl Seen {
    pub(super) fn transport(&self) -> &str {
        let query = self.uri.query().unwrap_or_default();
        if query.contains("transport=websocket") { "websocket" } else { "polling" }
    }
}

impl Network {
    pub(super) fn echo(config: EngineConfig) -> Self {
        Self::intercepted(config, |_| None)
    }

    /// Lets the test respond to some requests.
    pub(super) fn intercepted(
        config: EngineConfig,
        intercept: impl Fn(&Request<Incoming>) -> Option<Response<ResponseBody>> + Send + Sync + 'static,
    ) -> Self {
        let (log, happenings) = mpsc::unbounded_channel();
        let engine = Engine::new(config, move |mut connection: Connection| {
            let log = log.clone();
            async move {
                loop {
                    match connection.event().await {
                        Event::Message(data) => drop(connection.send(data)),
                        Event::Closed(reason) => {
                            let _ = log.send(Happening::Closed(reason));
                            return;
                        }
                        _ => {}
                    }
                }
            }
        });
        Self(Arc::new(Inner {
            engine,
            intercept: Box::new(intercept),
            keep_alive: true,
            connections: Mutex::default(),
            log: Mutex::default(),
            happenings: tokio::sync::Mutex::new(happenings),
        }))
    }

    /// Limits connections to one request. Call it before any other method.
    pub(super) fn closing(mut self) -> Self {
        Arc::get_mut(&mut self.0).unwrap().keep_alive = false;
        self
    }

    pub(super) fn connector(&self) -> impl Connector + use<> {
        let network = self.clone();
        move |_host: String, _port: u16| {
            let stream = network.accept();
            async move { Ok::<_, io::Error>(stream) }
        }
    }

    /// Returns the client's end of a new connection.
    pub(super) fn accept(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(16 * 1024);
        self.serve(server);
        client
    }

    pub(super) fn serve(&self, stream: impl ByteStream) {
        let network = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let network = network.clone();
            async move { Ok::<_, Infallible>(network.answer(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.keep_alive(self.0.keep_alive);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        lock(&self.0.connections).spawn(async move {
            let _ = connection.await;
        });
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        lock(&self.0.log).push(Seen {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        });
        match (self.0.intercept)(&request) {
            Some(response) => response,
            None => self.0.engine.handle(request).await,
        }
    }

    /// Returns the requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.0.log).clone()
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Cuts all connections that carry HTTP.
    pub(super) fn cut(&self) {
        lock(&self.0.connections).abort_all();
    }

    /// Returns why the next session to end did so on the server.
    pub(super) async fn closed(&self) -> CloseReason {
        let next = async { self.0.happenings.lock().await.recv().await };
        let Some(Happening::Closed(reason)) =
            tokio::time::timeout(Duration::from_secs(1000), next).await.unwrap()
        else {
            panic!("the server is gone");
        };
        reason
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Streams that never yield data.
pub(super) struct Silence;

impl Connector for Silence {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        Box::pin(std::future::pending())
    }
}
