//! Socket.IO in hyper: connections are accepted and served here.

use std::convert::Infallible;

use frameworks::{PAGE, Sessions, address, chat};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socketio_server::{PeerAddr, tower_layer::Layer};
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::default();
    let io = chat(&sessions, |engine| engine);
    let app = io.layer().layer(service_fn(move |request: Request<Incoming>| {
        let response = page(&sessions, &request);
        async move { Ok::<_, Infallible>(response) }
    }));

    let listener = TcpListener::bind(address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let app = app.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
                .with_upgrades(); // for WebSocket
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

fn page(sessions: &Sessions, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let name = request.uri().query().and_then(|query| query.strip_prefix("name="));
    let (status, header, body) = match (request.method(), request.uri().path(), name) {
        (&Method::GET, "/", _) => {
            (StatusCode::OK, (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), PAGE)
        }
        (&Method::POST, "/login", Some(name)) => {
            (StatusCode::OK, (header::SET_COOKIE, sessions.log_in(name)), "welcome")
        }
        _ => (StatusCode::NOT_FOUND, (header::CONTENT_TYPE, "text/plain".to_owned()), "not found"),
    };
    let response = Response::builder().status(status).header(header.0, header.1);
    response.body(Full::from(body)).unwrap_or_default()
}
