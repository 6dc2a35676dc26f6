//! Ends of a session by either side, and what the other side sees.

use tokio::sync::watch;

use super::*;
use engineio_server::{CloseReason as ServerReason, EngineConfig as ServerConfig};

#[tokio::test(start_paused = true)]
async fn a_client_closes_after_its_last_messages() {
    for options in [only(Transport::Polling), only(Transport::WebSocket), options()] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, options).await;
        engine.send(text("last")).unwrap();
        engine.close();
        let end = closed(&mut engine).await;
        assert_eq!(reason(&end), CloseReason::ForcedClose);
        assert!(engine.send(text("later")).is_err());
        assert_eq!(network.closed().await, ServerReason::TransportClose);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_closes() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via)).await;
        network.engine().client(engine.sid()).unwrap().close(engineio_server::Unsent::Send);
        let end = closed(&mut engine).await;
        assert_eq!(reason(&end), CloseReason::TransportClose, "{via:?}");
        assert!(end.error.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_client_is_gone_at_once() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via)).await;
        engine.send(text("x")).unwrap();
        message(&mut engine).await;
        // It waits for more.
        let quiet = tokio::time::timeout(Duration::from_secs(1), event(&mut engine)).await;
        assert!(quiet.is_err());
        let before = tokio::time::Instant::now();
        drop(engine);
        network.closed().await;
        assert!(before.elapsed() < Duration::from_secs(1), "{via:?}");
    }
}

/// A stream to the server that can be made to lose all data, without an end.
fn fragile(network: &Network, options: EngineOptions) -> (EngineConfig, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    let network = network.clone();
    let options = options.connector(move |_: String, _: u16| {
        let (client, mut middle) = tokio::io::duplex(16 * 1024);
        let (mut server, mut stopped) = (network.accept(), stopped.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut middle, &mut server) => {}
                _ = async { drop(stopped.wait_for(|stop| *stop).await) } => {}
            }
            std::future::pending::<()>().await;
            drop((middle, server));
        });
        async move { Ok::<_, std::io::Error>(client) }
    });
    (engine_config("http://server", &options).unwrap(), stop)
}

#[tokio::test(start_paused = true)]
async fn a_lost_network_is_noticed() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let (config, stop) = fragile(&Network::echo(ServerConfig::default()), only(via));
        let mut engine = Engine::open(&config).await.unwrap();
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
        stop.send(true).unwrap();
        let before = tokio::time::Instant::now();
        let end = closed(&mut engine).await;
        assert_eq!(end.reason.to_string(), "ping timeout");
        assert_eq!(before.elapsed().as_secs(), 45, "{via:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_is_a_transport_error_or_close() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, only(Transport::Polling)).await;
    assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    network.cut();
    let end = closed(&mut engine).await;
    assert_eq!(reason(&end), CloseReason::TransportError);
    assert_eq!(end.error.unwrap().to_string(), "xhr poll error");
}

#[tokio::test(start_paused = true)]
async fn a_session_unknown_to_the_server_ends() {
    let network = Network::intercepted(ServerConfig::default(), |request| {
        let post = request.method() == http::Method::POST;
        post.then(|| {
            let mut response = http::Response::new(engineio_server::ResponseBody::default());
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            response
        })
    });
    let mut engine = open(&network, only(Transport::Polling)).await;
    engine.send(text("x")).unwrap();
    let end = closed(&mut engine).await;
    assert_eq!(reason(&end), CloseReason::TransportError);
    let error = end.error.unwrap();
    assert_eq!((error.to_string().as_str(), error.status()), ("xhr post error", Some(400)));
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, only(Transport::WebSocket)).await;
    engine.close();
    closed(&mut engine).await;
    let quiet = tokio::time::timeout(Duration::from_secs(100), poll_fn(|cx| engine.poll_event(cx)));
    assert!(quiet.await.is_err());
}

/// A server that opens a session and then sends other packets.
fn talks(second: &'static str) -> Network {
    Network::intercepted(ServerConfig::default(), move |request| {
        let open = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
        let opened = request.uri().query().unwrap_or_default().contains("sid=");
        let body = if opened { second } else { open };
        Some(http::Response::new(engineio_server::ResponseBody::new(body.into())))
    })
}

#[tokio::test(start_paused = true)]
async fn garbage_ends_a_session_after_the_valid_packets() {
    for garbage in ["", "4a\x1ex", "4a\x1e", "<html>"] {
        let network = talks(garbage);
        let mut engine = open(&network, only(Transport::Polling)).await;
        if garbage.starts_with("4a") {
            assert_eq!(message(&mut engine).await, PacketData::Text("a".into()));
        }
        assert_eq!(closed(&mut engine).await.reason.to_string(), "parse error");
    }
}

#[tokio::test(start_paused = true)]
async fn unexpected_packets_do_not_end_a_session() {
    let network = talks("3\x1e0{}\x1e5\x1e6\x1e2\x1e4a\x1e1");
    let mut engine = open(&network, only(Transport::Polling)).await;
    assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    assert_eq!(message(&mut engine).await, PacketData::Text("a".into()));
    assert_eq!(reason(&closed(&mut engine).await), CloseReason::TransportClose);
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_response_ends_at_the_timeout() {
    for (via, seconds) in [(Transport::Polling, 32), (Transport::WebSocket, 2)] {
        let (config, stop) = fragile(&Network::echo(ServerConfig::default()), only(via));
        let mut engine = Engine::open(&config).await.unwrap();
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
        stop.send(true).unwrap();
        // The request with the pong, on polling, gets no response.
        let quiet = tokio::time::timeout(Duration::from_secs(1), event(&mut engine)).await;
        assert!(quiet.is_err());
        let before = tokio::time::Instant::now();
        engine.close();
        assert_eq!(reason(&closed(&mut engine).await), CloseReason::ForcedClose);
        assert_eq!(before.elapsed().as_secs(), seconds, "{via:?}");
    }
}
