//! Parity: `connection_error`, with Node's codes, messages and context names.

use crate::support;

use engineio_server::{EngineConfig, ErrorContext, Handshake, Refusal, RequestError};
use support::{Server, within};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_refused_request_is_reported_to_the_application() {
    let (log, mut told) = mpsc::unbounded_channel();
    let config = EngineConfig::default()
        .allow_request(|handshake: Handshake| async move {
            if handshake.url().contains("stranger") {
                Err(Refusal::new("no"))
            } else {
                Ok(handshake)
            }
        })
        .generate_id(|handshake: &Handshake| {
            std::future::ready(match handshake.url().contains("nameless") {
                true => Err("out of names"),
                false => Ok("name".to_owned()),
            })
        })
        .connection_error(move |error| {
            let context = (error.error, error.context.clone());
            let text = (error.code, error.message.to_owned(), error.request.uri.to_string());
            let _ = log.send((context, text));
        });
    let server = Server::echo(config).await;
    within(server.request("GET", "EIO=4&transport=polling", "")).await;
    let none = ErrorContext::None;
    let id = ErrorContext::IdGenerationError;
    for (method, query, code, message, context, name) in [
        ("GET", "EIO=4", 0, "Transport unknown", none.clone(), ""),
        ("GET", "EIO=4&transport=polling&sid=x", 1, "Session ID unknown", none.clone(), ""),
        ("POST", "EIO=4&transport=polling", 2, "Bad handshake method", none.clone(), ""),
        ("GET", "transport=polling", 5, "Unsupported protocol version", none.clone(), ""),
        ("GET", "EIO=4&transport=polling&stranger", 4, "no", none, ""),
        (
            "GET",
            "EIO=4&transport=websocket",
            3,
            "Bad request",
            ErrorContext::TransportHandshakeError,
            "TRANSPORT_HANDSHAKE_ERROR",
        ),
        (
            "GET",
            "EIO=4&transport=websocket&sid=name",
            3,
            "Bad request",
            ErrorContext::TransportMismatch,
            "TRANSPORT_MISMATCH",
        ),
        (
            "GET",
            "EIO=4&transport=polling&nameless",
            3,
            "Bad request",
            id("out of names".to_owned()),
            "ID_GENERATION_ERROR",
        ),
        (
            "GET",
            "EIO=4&transport=polling",
            3,
            "Bad request",
            id("the id belongs to another session".to_owned()),
            "ID_GENERATION_ERROR",
        ),
    ] {
        within(server.request(method, query, "")).await;
        let ((error, told_context), text) = told.try_recv().unwrap();
        assert_eq!(text, (code, message.to_owned(), format!("/engine.io/?{query}")));
        assert_eq!((told_context.name(), &told_context), (name, &context));
        assert_eq!(u16::from(error.code()), code);
        assert_eq!(error == RequestError::Forbidden, code == 4);
    }
    // Requests that end a session do not count as refused.
    within(server.post("name", "x")).await;
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_request_that_does_not_fit_its_session_is_reported() {
    let (log, mut told) = mpsc::unbounded_channel();
    let config = EngineConfig::default().connection_error(move |error| {
        let _ = log.send(error.context.name());
    });
    let server = Server::echo(config).await;
    let (_websocket, sid) = server.websocket().await;
    for request in [
        server.get(&sid),
        server.post(&sid, "4a"),
        server.request("PUT", &format!("EIO=4&transport=polling&sid={sid}"), ""),
    ] {
        within(request).await;
        assert_eq!(told.try_recv(), Ok("TRANSPORT_MISMATCH"));
    }
    let query = format!("EIO=3&transport=websocket&sid={sid}");
    assert!(server.connect(&query).await.is_err());
    assert_eq!(told.try_recv(), Ok("PROTOCOL_MISMATCH"));
}
