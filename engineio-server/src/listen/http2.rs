//! HTTP/2: its detection and its limits.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::watch,
    time::timeout,
};
use tower_service::Service;

use super::{
    connection::{Peer, until_stopped},
    pieces::{PiecewiseBody, UnreadBodies},
};
use crate::{config::EngineConfig, stall::StallGuard, stats::DroppedCounters};

/// The first bytes of every HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many bytes are read to look for the preface. Room for most request heads, which otherwise
/// would be read twice.
const FIRST_READ: usize = 4 * 1024;

/// Maximum number of requests that the peer resets before they are processed. More end the
/// connection (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Maximum number of streams that are reset because of errors of the peer. More end the connection
/// (CVE-2025-8671).
const MAX_ERROR_RESETS: usize = 64;

/// The HTTP/2 implementation, with the limits of a configuration.
pub(super) struct Http2 {
    builder: http2::Builder<TokioExecutor>,
    pub(super) head_timeout: Duration,
    write_timeout: Duration,
    dropped: Arc<DroppedCounters>,
}

impl Http2 {
    pub(super) fn new(config: &EngineConfig, dropped: Arc<DroppedCounters>) -> Self {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            // While a request head is incomplete, the peer cannot answer a ping.
            .keep_alive_interval(config.head_timeout / 2)
            .keep_alive_timeout(config.head_timeout / 2)
            .max_header_list_size(config.max_head_size.try_into().unwrap_or(u32::MAX))
            .max_concurrent_streams(config.max_concurrent_streams)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS)
            .enable_connect_protocol();
        let head_timeout = config.head_timeout;
        Self { builder, head_timeout, write_timeout: config.write_timeout, dropped }
    }

    /// Serves one connection until it ends. After the listener has stopped, serves it until its
    /// requests have been answered and its WebSockets are closed.
    pub(super) async fn serve<IO, S, B>(
        &self,
        stream: StallGuard<IO>,
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
        let unread = UnreadBodies::default();
        let bodies = unread.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            peer.mark(request.extensions_mut());
            let response = service.clone().call(request);
            let bodies = bodies.clone();
            async move {
                response.await.map(|response| response.map(|body| PiecewiseBody::new(body, bodies)))
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let stalled = unread.stalled(self.write_timeout);
        let serve = async {
            tokio::select! {
                result = connection.as_mut() => return result,
                () = until_stopped(&mut stopped) => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        let result = tokio::select! {
            result = serve => result,
            () = stalled => {
                tracing::debug!(target: "engineio::listen", "a client did not read a response within `write_timeout`");
                self.dropped.write_timeout.one();
                return;
            }
        };
        if let Err(error) = result {
            tracing::debug!(target: "engineio::listen", %error, "an HTTP/2 connection failed");
            self.dropped.failed(&error);
        }
    }
}

/// Returns whether the first bytes of the peer are those of HTTP/2. Returns the bytes to the
/// stream. This works with ALPN over TLS, and without TLS for clients with prior knowledge.
pub(super) async fn starts_http2<IO: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut StallGuard<IO>,
    limit: Duration,
) -> io::Result<bool> {
    let mut first = BytesMut::with_capacity(FIRST_READ);
    let read = async {
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            if stream.read_buf(&mut first).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    timeout(limit, read).await??;
    let is_http2 = first.starts_with(PREFACE);
    stream.give_back(first.freeze());
    Ok(is_http2)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(15);

    /// Returns whether HTTP/2 is detected in `pieces`. Checks that no byte is lost.
    async fn is_detected(pieces: &[&[u8]]) -> bool {
        let (stream, mut peer) = duplex(1024);
        let mut stream = StallGuard::new(stream, TIMEOUT);
        let send = async {
            for piece in pieces {
                peer.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            peer.shutdown().await.unwrap();
        };
        let (spoken, ()) = tokio::join!(starts_http2(&mut stream, TIMEOUT), send);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, pieces.concat());
        spoken.unwrap()
    }

    #[tokio::test]
    async fn the_preface_is_detected_in_any_pieces() {
        assert!(is_detected(&[PREFACE]).await);
        assert!(is_detected(&[PREFACE, b"more"]).await);
        let bytes: Vec<_> = PREFACE.chunks(1).collect();
        assert!(is_detected(&bytes).await);
        assert!(!is_detected(&[b"GET / HTTP/1.1\r\n\r\n"]).await);
        assert!(!is_detected(&[b"P", b"R", b"OPFIND / HTTP/1.1\r\n\r\n"]).await);
        assert!(!is_detected(&[b"PRI * HTTP/1.1\r\nhost: x\r\n\r\n"]).await);
    }

    #[tokio::test]
    async fn the_http1_server_gets_the_whole_head_at_once() {
        let head = b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let (stream, mut peer) = duplex(1024);
        let mut stream = StallGuard::new(stream, TIMEOUT);
        peer.write_all(head).await.unwrap();
        assert!(!starts_http2(&mut stream, TIMEOUT).await.unwrap());
        assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), head.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_times_out() {
        let (stream, mut peer) = duplex(1024);
        peer.write_all(&PREFACE[..5]).await.unwrap();
        let mut stream = StallGuard::new(stream, TIMEOUT);
        let error = starts_http2(&mut stream, TIMEOUT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
