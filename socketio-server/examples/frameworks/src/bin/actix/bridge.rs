//! actix-web has an HTTP server of its own, which does not use hyper and tower. So each request of
//! Socket.IO goes through a connection in memory to hyper, and the bytes of a WebSocket go through
//! it in both directions. That costs a second parse of each request's head and a copy of each byte;
//! a server with mostly Socket.IO traffic is better off in hyper or axum, beside actix-web and
//! behind one proxy.

use actix_web::{
    HttpRequest, HttpResponse, Result,
    error::{ErrorBadGateway, ErrorPayloadTooLarge},
    http::StatusCode,
    rt,
    web::{Bytes, Data, Payload},
};
use futures_util::StreamExt;
use http_body_util::{BodyDataStream, Full};
use hyper::{Request, body::Incoming, client, server};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socketio_server::{PeerAddr, Server};
use tokio::io::{AsyncWriteExt, duplex, split};
use tokio_util::io::ReaderStream;
use tower::ServiceExt;

/// Bytes of the connection in memory, in each direction.
const BUFFER: usize = 64 * 1024;
/// The same as the default of `max_payload`.
const MAX_BODY: usize = 1_000_000;

pub(crate) async fn socket_io(
    request: HttpRequest,
    payload: Payload,
    io: Data<Server>,
) -> Result<HttpResponse> {
    let (near, far) = duplex(BUFFER);
    let peer = request.peer_addr();
    let service = io.service().map_request(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        request
    });
    let mut http = server::conn::http1::Builder::new();
    http.timer(TokioTimer::new());
    let service = TowerToHyperService::new(service);
    rt::spawn(http.serve_connection(TokioIo::new(far), service).with_upgrades());
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(near)).await.map_err(ErrorBadGateway)?;
    rt::spawn(connection.with_upgrades());

    let mut copy =
        Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        copy = copy.header(name.as_str(), value.as_bytes());
    }
    let (body, payload) = if request.head().upgrade() {
        (Bytes::new(), Some(payload))
    } else {
        (payload.to_bytes_limited(MAX_BODY).await.map_err(ErrorPayloadTooLarge)??, None)
    };
    let copy = copy.body(Full::new(body)).map_err(ErrorBadGateway)?;
    let mut answer = sender.send_request(copy).await.map_err(ErrorBadGateway)?;

    let status = StatusCode::from_u16(answer.status().as_u16()).map_err(ErrorBadGateway)?;
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    let (StatusCode::SWITCHING_PROTOCOLS, Some(mut payload)) = (status, payload) else {
        return Ok(response.streaming(BodyDataStream::new(answer.into_body())));
    };
    let upgraded = hyper::upgrade::on(&mut answer).await.map_err(ErrorBadGateway)?;
    let (read, mut write) = split(TokioIo::new(upgraded));
    rt::spawn(async move {
        while let Some(Ok(bytes)) = payload.next().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    });
    Ok(response.upgrade("websocket").streaming(ReaderStream::new(read)))
}
