//! `max_sessions` and `max_kept_head`: limits on clients that only open sessions.

use crate::support;

use engineio_server::{EngineConfig, ErrorContext};
use http::Request;
use support::{Server, within};

const TOO_MANY: &str = r#"{"code":7,"message":"Too many sessions"}"#;
const POLLING: &str = "EIO=4&transport=polling";
const WEBSOCKET: &str = "EIO=4&transport=websocket";

#[tokio::test]
async fn a_session_beyond_the_limit_gets_503_with_retry_after() {
    let server = Server::echo(EngineConfig::default().max_sessions(2)).await;
    let first = server.open().await;
    let (_websocket, _) = server.websocket().await;

    let answer = within(server.request("GET", POLLING, "")).await;
    answer.is(503, TOO_MANY);
    assert_eq!((answer.header("retry-after"), answer.header("connection")), ("10", "close"));
    assert!(server.connect(WEBSOCKET).await.is_err());
    assert_eq!(server.engine.stats().refused.session_limit, 2);
    // Open sessions are not affected.
    within(server.post(&first, "4a")).await.is(200, "ok");
    within(server.get(&first)).await.is(200, "4a");

    within(server.post(&first, "1")).await.is(200, "ok");
    support::until(|| server.engine.clients_count() == 1).await;
    assert_eq!(within(server.request("GET", POLLING, "")).await.status, 200);
}

#[tokio::test]
async fn websockets_that_open_at_once_cannot_exceed_the_limit() {
    let server = Server::echo(EngineConfig::default().max_sessions(1)).await;
    let (one, two) = tokio::join!(server.connect(WEBSOCKET), server.connect(WEBSOCKET));
    let mut opened = 0;
    for websocket in [one, two] {
        let Ok(mut websocket) = websocket else { continue };
        opened += usize::from(matches!(websocket.next().await, Some(support::Message::Text(_))));
        assert!(server.engine.clients_count() <= 1);
    }
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_session_keeps_a_bounded_part_of_its_handshake() {
    let config = EngineConfig::default().allow_request(|handshake| async move {
        // During `allow_request`, all headers are available.
        assert_eq!(handshake.headers()["cookie"].len(), 15_000);
        Ok(handshake)
    });
    let (server, mut connections) = Server::manual(config).await;
    let request = Request::get(format!("/engine.io/?{POLLING}"))
        .header("cookie", "c".repeat(15_000))
        .header("user-agent", "u");
    assert_eq!(within(server.send(request.body(String::new()).unwrap())).await.status, 200);
    let headers = connections.recv().await.unwrap().handle().handshake().headers();
    assert_eq!((headers.len(), &headers["user-agent"]), (1, &"u".parse().unwrap()));
}

#[tokio::test]
async fn a_url_beyond_max_kept_head_is_refused() {
    let (told, errors) = std::sync::mpsc::channel();
    let config = EngineConfig::default().max_kept_head(200).connection_error(move |error| {
        let _ = told.send((error.code, error.context.clone()));
    });
    let server = Server::echo(config).await;
    let query = format!("{POLLING}&x={}", "x".repeat(200));
    within(server.request("GET", &query, ""))
        .await
        .is(414, r#"{"code":3,"message":"URL too long"}"#);
    assert_eq!(errors.recv().unwrap(), (3, ErrorContext::UrlTooLong));
    assert_eq!(server.engine.clients_count(), 0);
    // Later requests are not kept, so only the limit on request heads applies.
    let sid = server.open().await;
    within(server.post(&format!("{sid}&x={}", "x".repeat(200)), "4a")).await.is(200, "ok");
}
