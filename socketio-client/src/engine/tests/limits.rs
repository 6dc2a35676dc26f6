//! Limits that a server must not exceed.

use std::future::{pending, ready};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::RequestError;
use engineio_server::{EngineConfig as ServerConfig, ResponseBody};
use http::Response;

fn too_large(error: Option<EngineError>) -> bool {
    matches!(
        error,
        Some(
            EngineError::Polling(RequestError::TooLarge { limit: 1000 })
                | EngineError::WebSocket(RequestError::TooLarge { limit: 1000 })
        )
    )
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_ends_the_session() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let mut engine = open(&network, only(via).max_payload(1000)).await;
        engine.send(text(&"x".repeat(999))).unwrap();
        assert_eq!(message(&mut engine).await.len(), 999);
        engine.send(text(&"x".repeat(1000))).unwrap();
        let end = closed(&mut engine).await;
        assert_eq!(reason(&end), CloseReason::TransportError);
        assert!(too_large(end.error), "{via:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_too_large_is_refused() {
    let network = Network::intercepted(ServerConfig::default(), |_| {
        Some(Response::new(ResponseBody::new("0".repeat(1001).into())))
    });
    let options = only(Transport::Polling).max_payload(1000);
    assert!(too_large(try_open(&network, options).await.err()));
}

#[tokio::test(start_paused = true)]
async fn garbage_is_not_a_handshake() {
    for (body, expected) in [
        ("", "server error"),
        ("garbage", "server error"),
        ("0{}", "server error"),
        ("<html>", "server error"),
        ("1", "transport close"),
        (r#"0{"sid":"","pingInterval":25000,"pingTimeout":20000}"#, "server error"),
        // Without a matching length it is not revision 3 either.
        (r#"99:0{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#, "server error"),
    ] {
        let network = Network::intercepted(ServerConfig::default(), move |_| {
            Some(Response::new(ResponseBody::new(body.into())))
        });
        let error = try_open(&network, only(Transport::Polling)).await.err().unwrap();
        assert_eq!(error.to_string(), expected, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_of_revision_3_is_detected() {
    let open = r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":60000}"#;
    let text = format!("{}:{open}2:40", open.len()).into_bytes();
    let mut binary = vec![0, 7, 8, 255];
    binary.extend(open.bytes());
    assert_eq!(open.len(), 78);
    for (body, kind) in [(text, "text/plain"), (binary, "application/octet-stream")] {
        let network = Network::intercepted(ServerConfig::default(), move |_| {
            let mut response = Response::new(ResponseBody::new(body.clone().into()));
            let kind = http::HeaderValue::from_static(kind);
            response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
            Some(response)
        });
        let error = try_open(&network, only(Transport::Polling)).await.err().unwrap();
        assert!(matches!(error, EngineError::Unsupported), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_reported_with_its_body() {
    let network = Network::echo(ServerConfig::default());
    let error =
        try_open(&network, only(Transport::Polling).revision(engineio_parser::Revision::V3)).await;
    let error = error.err().unwrap();
    assert_eq!((error.to_string().as_str(), error.status()), ("xhr poll error", Some(400)));
    assert!(error.body().unwrap().contains("Unsupported protocol version"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let network = Network::echo(ServerConfig::default());
    let mut engine = open(&network, options().max_queued_packets(2)).await;
    engine.send(text("1")).unwrap();
    engine.send(text("2")).unwrap();
    assert!(matches!(engine.send(text("3")), Err(engineio_parser::session::SendError::Full(_))));
    assert_eq!(message(&mut engine).await, PacketData::Text("1".into()));
    assert_eq!(message(&mut engine).await, PacketData::Text("2".into()));
    engine.send(text("3")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_times_out() {
    let options = only(Transport::Polling)
        .request_timeout(Duration::from_secs(5))
        .connector(super::network::Silence);
    let config = engine_config("http://a", &options).unwrap();
    let error = Engine::open(&config).await.err().unwrap();
    assert!(matches!(error, EngineError::Polling(RequestError::Timeout(_))), "{error:?}");
}

/// Serves polling requests. Refuses a POST after its head, and does not read its body.
async fn refuse_posts(mut stream: tokio::io::DuplexStream) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let (status, body) = match head.split(|byte| *byte == b' ').collect::<Vec<_>>()[..] {
            [b"POST", ..] => ("413 Content Too Large", "too large"),
            [_, target, ..] if target.windows(4).any(|it| it == b"sid=") => return pending().await,
            _ => {
                ("200 OK", r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#)
            }
        };
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes()).await.unwrap();
        if status.starts_with("413") {
            return pending().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_precedes_the_end_of_the_request_is_reported() {
    let options = only(Transport::Polling).connector(|_: String, _: u16| {
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(refuse_posts(far));
        ready(Ok::<_, std::io::Error>(near))
    });
    let config = engine_config("http://server", &options).unwrap();
    let mut engine = Engine::open(&config).await.unwrap();
    engine.send(text(&"x".repeat(100_000))).unwrap();
    let error = closed(&mut engine).await.error.unwrap();
    assert_eq!((error.status(), error.body()), (Some(413), Some("too large")));
}
