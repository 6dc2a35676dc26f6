//! Parity: `generateId`. A failure, or an id that could affect other sessions, is refused with code
//! 3.

use crate::support;

use engineio_server::{EngineConfig, Handshake};
use support::{Server, within};
use tokio_tungstenite::tungstenite;

const REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;

/// A server that takes the session id from the query.
async fn server() -> Server {
    let config = EngineConfig::default().generate_id(|handshake: &Handshake| {
        let id = handshake.query().into_iter().find(|(name, _)| name == "id");
        async move {
            tokio::task::yield_now().await;
            id.map(|(_, id)| id).ok_or("no id")
        }
    });
    Server::echo(config).await
}

#[tokio::test]
async fn an_application_may_generate_session_ids() {
    let server = server().await;
    let answer = within(server.request("GET", "EIO=4&transport=polling&id=a-._~Z9", "")).await;
    assert_eq!(support::sid_of(&answer.body), "a-._~Z9");
    within(server.post("a-._~Z9", "4a")).await.is(200, "ok");
    within(server.get("a-._~Z9")).await.is(200, "4a");

    let (_websocket, sid) = server.websocket_with("EIO=4&id=other").await;
    assert_eq!(sid, "other");
    assert!(server.engine.client("other").is_some());
}

#[tokio::test]
async fn an_invalid_id_is_refused() {
    let server = server().await;
    let long = format!("&id={}", "x".repeat(129));
    for query in ["", "&id=", "&id=a%20b", "&id=a%22b", "&id=a%26b", "&id=%C3%A9", &long] {
        let http = format!("EIO=4&transport=polling{query}");
        within(server.request("GET", &http, "")).await.is(400, REQUEST);
        let Err(tungstenite::Error::Http(response)) =
            server.connect(&format!("EIO=4&transport=websocket{query}")).await
        else {
            panic!("{query} was not refused")
        };
        assert_eq!(response.body().as_deref(), Some(REQUEST.as_bytes()));
    }
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn the_id_of_an_open_session_is_refused() {
    let server = server().await;
    let (mut first, _) = server.websocket_with("EIO=4&id=one").await;
    within(server.request("GET", "EIO=4&transport=polling&id=one", "")).await.is(400, REQUEST);
    assert!(server.connect("EIO=4&transport=websocket&id=one").await.is_err());
    first.send("4a").await;
    assert_eq!(first.text().await, "4a");
}

#[tokio::test]
async fn an_id_that_two_clients_request_at_once_is_given_once() {
    let server = server().await;
    let query = "EIO=4&transport=polling&id=one";
    let (one, two) = within(async {
        tokio::join!(server.request("GET", query, ""), server.request("GET", query, ""))
    })
    .await;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!((statuses, server.engine.clients_count()), ([200, 400], 1));
}
