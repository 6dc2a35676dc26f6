//! Upgrades from polling to WebSocket.

use super::*;
use engineio_server::{EngineConfig as ServerConfig, ResponseBody};
use http::Response;
use hyper::{Request, body::Incoming};

fn refuse_websockets(request: &Request<Incoming>) -> Option<Response<ResponseBody>> {
    let websocket = request.uri().query().unwrap_or_default().contains("transport=websocket");
    websocket.then(|| refusal("no"))
}

fn refusal(body: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::new(body.into()));
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    response
}

#[tokio::test(start_paused = true)]
async fn a_session_is_upgraded_and_loses_nothing() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, options()).await;
    assert_eq!(engine.transport(), Transport::Polling);
    let mut upgraded = false;
    let mut received = 0;
    for number in 0..200 {
        engine.send(text(&number.to_string())).unwrap();
        while received <= number {
            match event(&mut engine).await {
                EngineEvent::Message(data) => {
                    assert_eq!(data, PacketData::Text(received.to_string().into()));
                    received += 1;
                }
                EngineEvent::Upgraded(_) => upgraded = true,
                event => panic!("{event:?}"),
            }
        }
    }
    assert!(upgraded);
    assert_eq!(engine.transport(), Transport::WebSocket);
    assert!(tokio::time::Instant::now().into_std().elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_leaves_polling_alive() {
    let network = Network::intercepted(ServerConfig::default(), refuse_websockets);
    let mut engine = open(&network, options()).await;
    for _ in 0..3 {
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    }
    assert!(network.seen().iter().any(|seen| seen.transport() == "websocket"));
    engine.send(text("x")).unwrap();
    assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
    assert_eq!(engine.transport(), Transport::Polling);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_given_up() {
    let network = Network::echo(ServerConfig::default());
    // The first connections are polling.
    let inner = network.connector();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let connector = move |host: String, port: u16| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let connected = first.then(|| {
            let connecting = crate::Connector::connect(&inner, &host, port);
            futures_util::FutureExt::now_or_never(connecting)
        });
        async move {
            match connected {
                Some(stream) => stream.unwrap(),
                None => std::future::pending().await,
            }
        }
    };
    let config = engine_config("http://a", &options().connector(connector)).unwrap();
    let mut engine = Engine::open(&config).await.unwrap();
    assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    assert_eq!(engine.transport(), Transport::Polling);
}

#[tokio::test(start_paused = true)]
async fn upgrades_can_be_disabled() {
    let network = Network::echo(ServerConfig::default());
    for options in [options().upgrade(false), only(Transport::Polling)] {
        let mut engine = open(&network, options).await;
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    }
    let network = Network::echo(ServerConfig::default().allow_upgrades(false));
    let mut engine = open(&network, options()).await;
    assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    assert!(!network.seen().iter().any(|seen| seen.transport() == "websocket"));
}

#[tokio::test(start_paused = true)]
async fn the_next_transport_is_tried_if_enabled() {
    let network = Network::intercepted(ServerConfig::default(), refuse_websockets);
    let options = options().transports([Transport::WebSocket, Transport::Polling]);
    let error = try_open(&network, options.clone()).await.err().unwrap();
    assert_eq!(error.to_string(), "websocket error");
    assert_eq!((error.status(), error.body()), (Some(400), Some("no")));
    let engine = open(&network, options.try_all_transports(true)).await;
    assert_eq!(engine.transport(), Transport::Polling);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_remembered() {
    let network = Network::echo(ServerConfig::default());
    let options = options().remember_upgrade(true).connector(network.connector());
    let config = engine_config("http://server", &options).unwrap();
    let mut engine = Engine::open(&config).await.unwrap();
    upgraded(&mut engine).await;
    let engine = Engine::open(&config).await.unwrap();
    assert_eq!(engine.transport(), Transport::WebSocket);
}

#[tokio::test(start_paused = true)]
async fn a_probe_with_a_wrong_response_leaves_polling_alive() {
    // A WebSocket server without Engine.IO, beside a polling server with it.
    let network = Network::echo(ServerConfig::default());
    for answer in ["3", "3prob", "4hello", "garbage", ""] {
        let (inner, first) = (network.clone(), std::sync::atomic::AtomicBool::new(true));
        let options = options().connector(move |_: String, _: u16| {
            let polling = first.swap(false, std::sync::atomic::Ordering::Relaxed);
            let stream = if polling { inner.accept() } else { babble(answer) };
            async move { Ok::<_, std::io::Error>(stream) }
        });
        let config = engine_config("http://server", &options).unwrap();
        let mut engine = Engine::open(&config).await.unwrap();
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping), "{answer}");
        assert_eq!(engine.transport(), Transport::Polling);
    }
}

fn babble(answer: &'static str) -> tokio::io::DuplexStream {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let (client, server) = tokio::io::duplex(16 * 1024);
    tokio::spawn(async move {
        let mut socket = tokio_tungstenite::accept_async(server).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("2probe"));
        socket.send(Message::text(answer)).await.unwrap();
        // Then the client gives up the probe.
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
    });
    client
}
