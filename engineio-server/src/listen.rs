//! An HTTP listener of our own, for those who need no web framework.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::watch,
    task::JoinHandle,
};
use tower_service::Service;

use crate::{config::EngineConfig, engine::Engine, handshake::PeerAddr, stall::Stalling};

impl Engine {
    /// Listens on its own: HTTP/1.1 with TCP_NODELAY and the deadlines of the configuration.
    ///
    /// # Errors
    ///
    /// The address cannot be resolved or bound.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> std::io::Result<Listening> {
        Ok(serve(TcpListener::bind(address).await?, self.service(), self.config()))
    }
}

/// A listener at work. Dropping it lets it go on.
#[derive(Debug)]
pub struct Listening {
    address: io::Result<SocketAddr>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Listening {
    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The operating system did not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Stops accepting connections. HTTP connections end after the request they are serving; WebSockets live on
    /// until their sessions are closed.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the listener was stopped.
    pub async fn join(self) {
        let _ = self.task.await;
    }
}

/// Serves HTTP/1.1 on `listener` with `service`, with upgrades, TCP_NODELAY and the limits of `config`.
pub fn serve<S, B>(listener: TcpListener, service: S, config: &EngineConfig) -> Listening
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(config.max_head_size);
    let http = Arc::new(http);
    let write_timeout = config.write_timeout;
    let (stop, mut stopped) = watch::channel(false);
    let address = listener.local_addr();
    let task = tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = until_stopped(&mut stopped) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Coalescing is done by the writers; Nagle's algorithm would hold bursts back for 40 ms.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection(
                        http.clone(),
                        Stalling::new(stream, write_timeout),
                        peer,
                        service.clone(),
                        stopped.clone(),
                    ));
                }
                Err(error) => {
                    // Mostly "too many open files": it passes when connections end.
                    tracing::warn!(target: "engineio::listen", %error, "accepting failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    Listening { address, task, stop }
}

/// Serves one connection until it ends, is upgraded, or the listener stops.
async fn connection<S, B>(
    http: Arc<http1::Builder>,
    stream: Stalling<TcpStream>,
    peer: SocketAddr,
    service: S,
    mut stopped: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer));
        service.clone().call(request)
    });
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = until_stopped(&mut stopped) => None,
    };
    let result = match ended {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(target: "engineio::listen", %error, "HTTP connection failed");
    }
}

/// Waits until the listener is stopped. One that is dropped, not stopped, never is.
async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}
