//! The tower service inside plain hyper, and the layer inside axum. Requests of other paths pass
//! through.

use crate::support;

use std::net::SocketAddr;

use axum::{Extension, Router, extract::ConnectInfo, routing::get};
use engineio_server::{Connection, Engine, EngineConfig, PeerAddr, Refusal};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use support::Server;
use tokio::{net::TcpListener, sync::mpsc};
use tower::ServiceBuilder;
use tower_http::cors::CorsLayer;

const OTHER: &str = "GET /other HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn echo() -> Engine {
    Engine::new(EngineConfig::default(), |mut connection: Connection| async move {
        while let Ok(data) = connection.recv().await {
            connection.send(data).unwrap();
        }
    })
}

/// Exchanges messages with the engine over both transports.
async fn works(server: &Server) {
    let open =
        "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = server.exchange(open.as_bytes()).await;
    let sid = support::sid_of(answer.split_once("\r\n\r\n").unwrap().1);
    let mut websocket = server.probe(&sid).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    websocket.send("5").await;
    websocket.send("4hello").await;
    assert_eq!(websocket.text().await, "4hello");
    let (mut websocket, _) = server.websocket().await;
    websocket.send("4hello").await;
    assert_eq!(websocket.text().await, "4hello");
}

#[tokio::test]
async fn an_engine_serves_inside_axum() {
    let engine = echo();
    let app =
        Router::new().route("/other", get(|| async { "another handler" })).layer(engine.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut server = Server::start(engine).await;
    server.address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    works(&server).await;
    let answer = server.exchange(OTHER.as_bytes()).await;
    assert!(answer.ends_with("another handler"), "{answer}");
}

/// Serves a router that gets the addresses of its clients.
async fn serve_with_addresses(engine: Engine, app: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut server = Server::start(engine).await;
    server.address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    server
}

#[tokio::test]
async fn layers_of_a_service_builder_apply_to_the_engine() {
    let engine = echo();
    let layers = ServiceBuilder::new().layer(CorsLayer::permissive()).layer(engine.layer());
    let app = Router::new().route("/other", get(|| async { "another handler" })).layer(layers);
    let server = serve_with_addresses(engine, app).await;

    works(&server).await;
    let preflight = "OPTIONS /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\n\
        origin: http://page.test\r\naccess-control-request-method: GET\r\nconnection: close\r\n\r\n";
    let open = preflight.replace("OPTIONS", "GET");
    for request in [preflight, &open, OTHER] {
        let answer = server.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
    }
}

#[tokio::test]
async fn the_peer_address_of_axum_is_the_client_address() {
    let (told, mut addresses) = mpsc::unbounded_channel();
    let config = EngineConfig::default()
        .peer_addr(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0))
        .max_unauthenticated_per_address(1);
    let engine = Engine::new(config, move |mut connection: Connection| {
        let handshake = connection.handle().handshake();
        let _ = told.send((handshake.remote_addr(), handshake.client_ip()));
        async move { while connection.recv().await.is_ok() {} }
    });
    let app = Router::new().route("/", get(|| async {})).layer(engine.layer());
    let server = serve_with_addresses(engine, app).await;

    let (_websocket, _) = server.websocket().await;
    let (peer, ip) = addresses.recv().await.unwrap();
    assert!(peer.unwrap().ip().is_loopback() && peer.unwrap().port() > 0);
    assert_eq!(ip, Some(peer.unwrap().ip()));
    // The limit per address applies as well.
    assert!(server.connect("EIO=4&transport=websocket").await.is_err());
}

/// Information that a layer has about a client.
#[derive(Clone)]
struct User;

#[tokio::test]
async fn a_session_keeps_only_the_configured_extensions() {
    let engine = |config: EngineConfig| {
        Engine::new(config, |mut connection: Connection| async move {
            let known = connection.handle().handshake().extension::<User>().is_some();
            connection.send(known.to_string()).unwrap();
            let _ = connection.recv().await;
        })
    };
    let config = EngineConfig::default().allow_request(|handshake| async move {
        // During `allow_request`, all extensions are available.
        handshake.extension::<User>().map(drop).ok_or(Refusal::default())?;
        Ok(handshake)
    });
    for (config, known) in [(config.clone(), "4false"), (config.keep_extension::<User>(), "4true")]
    {
        let engine = engine(config);
        let app = Router::new().route("/", get(|| async {})).layer(engine.layer());
        let app = app.layer(Extension(User));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = Server::start(engine).await;
        server.address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let (mut websocket, _) = server.websocket().await;
        assert_eq!(websocket.text().await, known);
    }
}

/// An echo server inside hyper, with or without support for upgrades.
async fn in_hyper(upgrades: bool) -> Server {
    let engine = echo();
    let service = engine.service();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut server = Server::start(engine).await;
    server.address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if upgrades {
                tokio::spawn(connection.with_upgrades());
            } else {
                tokio::spawn(connection);
            }
        }
    });
    server
}

#[tokio::test]
async fn an_engine_serves_inside_hyper() {
    let server = in_hyper(true).await;

    works(&server).await;
    let answer = server.exchange(OTHER.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn no_session_opens_in_a_server_without_upgrades() {
    let server = in_hyper(false).await;
    if let Ok(mut websocket) = server.connect("EIO=4&transport=websocket").await {
        assert_eq!(websocket.next().await, None);
    }
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn a_session_keeps_the_request_that_opened_it() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let request = "GET /engine.io/?EIO=4&transport=polling&token=a%20b HTTP/1.1\r\nhost: x\r\n\
        cookie: c=1\r\nconnection: close\r\n\r\n";
    server.exchange(request.as_bytes()).await;
    let connection = connections.recv().await.unwrap();
    let handshake = connection.handle().handshake();
    assert_eq!(handshake.headers()["cookie"], "c=1");
    assert_eq!(handshake.query()[2], ("token".to_owned(), "a b".to_owned()));
    let PeerAddr(address) = PeerAddr(handshake.remote_addr().unwrap());
    assert!(address.ip().is_loopback());
}

#[tokio::test]
async fn every_path_below_the_configured_one_matches() {
    let engine = Engine::new(EngineConfig::default().path("realtime"), |_| async {});
    assert_eq!(engine.path(), "/realtime/");
    for (path, matches) in
        [("/realtime/", true), ("/realtime/x", true), ("/realtime", false), ("/real", false)]
    {
        assert_eq!(engine.matches(path), matches, "{path}");
    }
}

#[tokio::test]
async fn the_path_may_end_without_a_slash() {
    for config in [
        EngineConfig::default().path("realtime").add_trailing_slash(false),
        EngineConfig::default().add_trailing_slash(false).path("/realtime/"),
    ] {
        let engine = Engine::new(config.clone(), |_| async {});
        assert_eq!(engine.path(), "/realtime");
        for (path, matches) in
            [("/realtime/", true), ("/realtime", true), ("/realtimes", true), ("/real", false)]
        {
            assert_eq!(engine.matches(path), matches, "{path}");
        }
        let engine = Engine::new(config.add_trailing_slash(true), |_| async {});
        assert_eq!(engine.path(), "/realtime/");
    }
}

#[tokio::test]
async fn a_foreign_upgrade_is_refused_and_its_connection_closed() {
    let server = Server::echo(EngineConfig::default()).await;
    let request = "GET /other HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    // Returns only when the connection has ended.
    let answer = server.exchange(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("connection: close"), "{answer}");
}
