//! An HTTP listener for applications without a web framework.

mod connection;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http2")]
mod pieces;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "webtransport")]
mod webtransport;

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tower_service::Service;

use self::connection::{Http, Peer, until_stopped};
use crate::{
    config::EngineConfig,
    engine::Engine,
    stats::{DropStats, DroppedCounters},
};

impl Engine {
    /// Listens on `address` with TCP_NODELAY and the deadlines of the configuration. Serves
    /// HTTP/1.1. With the feature `http2`, also serves HTTP/2 to clients with prior knowledge.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> std::io::Result<Listening> {
        Ok(serve(TcpListener::bind(address).await?, self.service(), self.config()))
    }
}

/// A running listener. It keeps running when this is dropped.
#[derive(Debug)]
pub struct Listening {
    address: io::Result<SocketAddr>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    dropped: Arc<DroppedCounters>,
}

impl Listening {
    /// Returns how many connections were dropped before or between requests, by reason.
    /// [`Engine::stats`] counts refused requests.
    pub fn stats(&self) -> DropStats {
        let mut dropped = DropStats::default();
        self.dropped.add_to(&mut dropped);
        dropped
    }

    /// Returns the local address.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system does not report the address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Stops accepting connections. HTTP connections end after the requests in progress. WebSockets
    /// stay open until their sessions are closed.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the listener has been stopped and its HTTP connections have ended, so that no
    /// response is lost when the program exits. Waits for connections at most
    /// [`linger`](EngineConfig::linger).
    pub async fn join(self) {
        let _ = self.task.await;
    }
}

/// Serves HTTP on `listener` with `service`, including upgrades, TCP_NODELAY and the limits of
/// `config`. See [`Engine::listen`].
pub fn serve<S, B>(listener: TcpListener, service: S, config: &EngineConfig) -> Listening
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let http = Arc::new(Http::new(config));
    let dropped = http.dropped.clone();
    accept(listener, config, dropped, move |stream, address, stopped| {
        let (http, service) = (http.clone(), service.clone());
        let peer = Peer { address, secure: false };
        async move { http.serve(stream, peer, service, stopped).await }
    })
}

/// Serves one connection over any stream, as [`serve`] does with those of its listener, until it
/// ends. It ends early when `stopped` becomes true.
pub async fn serve_stream<IO, S, B>(
    stream: IO,
    address: SocketAddr,
    service: S,
    config: &EngineConfig,
    stopped: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let peer = Peer { address, secure: false };
    Http::new(config).serve(stream, peer, service, stopped).await;
}

/// Runs `serve` in one task per connection until the listener is stopped.
fn accept<F, Fut>(
    listener: TcpListener,
    config: &EngineConfig,
    dropped: Arc<DroppedCounters>,
    serve: F,
) -> Listening
where
    F: Fn(TcpStream, SocketAddr, watch::Receiver<bool>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let linger = config.linger;
    let (stop, mut stopped) = watch::channel(false);
    let address = listener.local_addr();
    let task = tokio::spawn(async move {
        // Nothing is sent on this channel. It closes when the last connection has dropped its
        // sender.
        let (running, mut idle) = mpsc::channel::<Infallible>(1);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = until_stopped(&mut stopped) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Writers coalesce frames themselves. Nagle's algorithm would delay bursts by
                    // 40 ms.
                    let _ = stream.set_nodelay(true);
                    let connection = serve(stream, peer, stopped.clone());
                    let running = running.clone();
                    // Boxed, because a task is moved several times.
                    tokio::spawn(Box::pin(async move {
                        connection.await;
                        drop(running);
                    }));
                }
                Err(error) => {
                    // Usually "too many open files", which passes when other connections end.
                    tracing::warn!(target: "engineio::listen", %error, "accepting failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop((listener, running));
        let _ = timeout(linger, idle.recv()).await;
    });
    Listening { address, task, stop, dropped }
}
