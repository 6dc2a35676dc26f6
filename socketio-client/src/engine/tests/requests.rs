//! The requests that the server receives.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use engineio_server::{EngineConfig as ServerConfig, ResponseBody};
use http::{HeaderName, HeaderValue, Method, Response, header};

#[tokio::test(start_paused = true)]
async fn headers_query_and_address() {
    let network = Network::echo(ServerConfig::default());
    let options = options()
        .header(HeaderName::from_static("x-token"), HeaderValue::from_static("abc"))
        .connector(network.connector());
    for (url, host) in
        [("http://[::1]:3000/?a=1", "[::1]:3000"), ("ws://localhost:80?a=1", "localhost")]
    {
        let config = engine_config(url, &options).unwrap();
        let mut engine = Engine::open(&config).await.unwrap();
        upgraded(&mut engine).await;
        let seen = network.seen();
        assert!(seen.iter().any(|seen| seen.transport() == "websocket"));
        assert_eq!(seen.last().unwrap().headers[header::HOST], host);
        for seen in seen {
            assert_eq!(seen.headers["x-token"], "abc");
            assert!(seen.uri.path() == "/engine.io/");
            assert!(seen.uri.query().unwrap().starts_with("a=1&EIO=4&transport="), "{seen:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn headers_are_requested_for_each_connection() {
    let network = Network::echo(ServerConfig::default());
    let count = AtomicUsize::new(0);
    let options = options()
        .header(header::AUTHORIZATION, HeaderValue::from_static("none"))
        .headers_with(move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            assert_ne!(number, 3, "a panic");
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match number {
                    2 => Err("no token".into()),
                    4 => panic!("a later panic"),
                    number => Ok([(header::AUTHORIZATION, number.into())].into_iter().collect()),
                }
            }
        })
        .connector(network.connector());
    let config = engine_config("http://server", &options).unwrap();
    for number in ["0", "1"] {
        let before = network.seen().len();
        let mut engine = Engine::open(&config).await.unwrap();
        upgraded(&mut engine).await;
        for seen in &network.seen()[before..] {
            assert_eq!(seen.headers[header::AUTHORIZATION], number);
        }
    }
    let before = network.seen().len();
    for expected in ["no token", "the function panicked", "the function panicked"] {
        let error = Engine::open(&config).await.err().unwrap();
        assert!(matches!(error, EngineError::Headers(_)));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), expected);
    }
    assert_eq!(network.seen().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_transport_may_have_headers_and_protocols_of_its_own() {
    let network = Network::echo(ServerConfig::default());
    let name = HeaderName::from_static("x-a");
    let options = options()
        .header(name.clone(), HeaderValue::from_static("all"))
        .transport_header(Transport::WebSocket, name, HeaderValue::from_static("own"))
        .protocols(["v2.chat", "v1.chat"].map(HeaderValue::from_static));
    let mut engine = open(&network, options).await;
    upgraded(&mut engine).await;
    for seen in network.seen() {
        let protocols = seen.headers.get(header::SEC_WEBSOCKET_PROTOCOL);
        match seen.transport() {
            "websocket" => {
                assert_eq!(seen.headers["x-a"], "own");
                assert_eq!(protocols.unwrap(), "v2.chat, v1.chat");
            }
            _ => assert!(seen.headers["x-a"] == "all" && protocols.is_none()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cookies_come_back_on_every_request() {
    let network = Network::intercepted(ServerConfig::default().allow_upgrades(true), |request| {
        let cookie = request.headers().get(header::COOKIE);
        if cookie.is_some() || request.method() != Method::GET {
            return None;
        }
        // A load balancer that refuses its clients once, and accepts them only with its cookie.
        let mut response = Response::new(ResponseBody::new("again".into()));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        let set = HeaderValue::from_static("node=7; Path=/; HttpOnly; Max-Age=60");
        response.headers_mut().insert(header::SET_COOKIE, set);
        Some(response)
    });
    let options = options().connector(network.connector());
    let config = engine_config("http://server", &options).unwrap();
    assert_eq!(Engine::open(&config).await.err().unwrap().status(), Some(502));
    let mut engine = Engine::open(&config).await.unwrap();
    upgraded(&mut engine).await;
    let seen = network.seen();
    assert!(
        seen.len() > 2 && seen[1..].iter().all(|seen| seen.headers[header::COOKIE] == "node=7")
    );

    let config = engine_config("http://server", &options.cookies(false)).unwrap();
    for _ in 0..2 {
        assert!(Engine::open(&config).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn polls_pause_if_the_server_responds_at_once() {
    for body in ["6", "2", "3\x1e6"] {
        // The clock stands still while requests follow each other at once, so their number is
        // limited.
        let count = AtomicUsize::new(0);
        let network = Network::intercepted(ServerConfig::default(), move |request| {
            let query = request.uri().query().unwrap_or_default();
            if request.method() != Method::GET || !query.contains("sid=") {
                return None;
            }
            let mut response = Response::new(ResponseBody::new(body.into()));
            if count.fetch_add(1, Ordering::Relaxed) > 100 {
                *response.status_mut() = http::StatusCode::BAD_GATEWAY;
            }
            Some(response)
        });
        let mut engine = open(&network, only(Transport::Polling)).await;
        let end = tokio::time::timeout(Duration::from_millis(950), closed(&mut engine)).await;
        assert!(end.is_err(), "{body:?}");
        let gets = network.seen().iter().filter(|seen| seen.method == Method::GET).count();
        assert_eq!(gets, 11, "{body:?}: the handshake, and ten a second");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let network = Network::intercepted(ServerConfig::default(), |_| {
        let mut response = Response::new(ResponseBody::default());
        *response.status_mut() = http::StatusCode::FOUND;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/elsewhere"));
        Some(response)
    });
    for via in [Transport::Polling, Transport::WebSocket] {
        assert_eq!(try_open(&network, only(via)).await.err().unwrap().status(), Some(302));
    }
    assert_eq!(network.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_are_reused() {
    let network = Network::echo(ServerConfig::default());
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (inner, counted) = (network.clone(), count.clone());
    let options = only(Transport::Polling).connector(move |_: String, _: u16| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let stream = inner.accept();
        async move { Ok::<_, std::io::Error>(stream) }
    });
    let config = engine_config("http://server", &options).unwrap();
    let mut engine = Engine::open(&config).await.unwrap();
    for number in 0..20 {
        if number % 2 == 1 {
            silence(&mut engine).await;
        }
        let content = format!("{number}{}", "x".repeat(number * 100));
        engine.send(text(&content)).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text(content.into()));
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2, "one for GET, one for POST");
}

/// Drives the session for 10 s, in which only pings arrive.
async fn silence(engine: &mut Engine) {
    let pings = async { while matches!(event(engine).await, EngineEvent::Ping) {} };
    assert!(tokio::time::timeout(Duration::from_secs(10), pings).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_may_close_after_each_request() {
    let network = Network::intercepted(ServerConfig::default(), |_| None).closing();
    let mut engine = open(&network, only(Transport::Polling)).await;
    for number in 0..20 {
        if number % 2 == 1 {
            silence(&mut engine).await;
        }
        engine.send(text("x")).unwrap();
        message(&mut engine).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_silent_connection_ends_the_session() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, only(Transport::Polling)).await;
    engine.send(text("x")).unwrap();
    message(&mut engine).await;
    silence(&mut engine).await;
    network.cut();
    assert_eq!(reason(&closed(&mut engine).await), CloseReason::TransportError);
}
