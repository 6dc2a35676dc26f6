//! Serves one HTTP connection, over HTTP/1.1 or HTTP/2.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::Either;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tower_service::Service;

use crate::{
    config::EngineConfig,
    handshake::{PeerAddr, Secure},
    response::{ResponseBody, SentWithOpenPacket, empty},
    stall::StallGuard,
    stats::DroppedCounters,
};

/// The HTTP implementation, with the limits of a configuration.
pub(super) struct Http {
    http1: http1::Builder,
    #[cfg(feature = "http2")]
    http2: super::http2::Http2,
    write_timeout: Duration,
    pub(super) dropped: Arc<DroppedCounters>,
}

impl Http {
    pub(super) fn new(config: &EngineConfig) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(config.head_timeout)
            .max_buf_size(config.max_head_size);
        let dropped = Arc::<DroppedCounters>::default();
        Self {
            http1,
            #[cfg(feature = "http2")]
            http2: super::http2::Http2::new(config, dropped.clone()),
            write_timeout: config.write_timeout,
            dropped,
        }
    }

    /// Serves one connection until it ends, is upgraded, or the listener stops.
    pub(super) async fn serve<IO, S, B>(
        &self,
        stream: IO,
        peer: Peer,
        service: S,
        mut stopped: watch::Receiver<bool>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = StallGuard::new(stream, self.write_timeout);
        #[cfg(feature = "http2")]
        let stream = {
            let mut stream = stream;
            let is_http2 = super::http2::starts_http2(&mut stream, self.http2.head_timeout);
            let is_http2 = tokio::select! {
                result = is_http2 => result,
                () = until_stopped(&mut stopped) => return,
            };
            match is_http2 {
                Ok(true) => return self.http2.serve(stream, peer, service, stopped).await,
                Ok(false) => stream,
                Err(error) => {
                    tracing::debug!(target: "engineio::listen", %error, "no request arrived on a connection");
                    self.dropped.failed_early(&error, false);
                    return;
                }
            }
        };
        let hold_back = stream.hold_back();
        let service = service_fn(move |mut request: Request<Incoming>| {
            peer.mark(request.extensions_mut());
            let response = names_host(&request).then(|| service.clone().call(request));
            let hold_back = hold_back.clone();
            async move {
                let Some(response) = response else { return Ok(without_host().map(Either::Left)) };
                response.await.map(|response| {
                    if SentWithOpenPacket::marks(&response) {
                        hold_back.next_write();
                    }
                    response.map(Either::Right)
                })
            }
        });
        let connection = self.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
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
            tracing::debug!(target: "engineio::listen", %error, "an HTTP connection failed");
            self.dropped.failed(&error);
        }
    }
}

/// Returns whether an HTTP/1.1 request has a `Host` header. RFC 9112 section 3.2 requires it, and
/// Node's server enforces it.
fn names_host(request: &Request<Incoming>) -> bool {
    request.version() != Version::HTTP_11 || request.headers().contains_key(header::HOST)
}

fn without_host() -> Response<ResponseBody> {
    let mut response = empty(StatusCode::BAD_REQUEST);
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// The peer of a connection.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) secure: bool,
}

impl Peer {
    /// Adds the information to the extensions of a request.
    pub(super) fn mark(self, extensions: &mut Extensions) {
        extensions.insert(PeerAddr(self.address));
        if self.secure {
            extensions.insert(Secure);
        }
    }
}

/// Waits until the listener is stopped. Never resolves if the [`Listening`](super::Listening) is
/// dropped without being stopped.
pub(super) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}
