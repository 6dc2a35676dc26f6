//! `allow_eio3`: off unless asked for, and `3` means exactly `3`.

use crate::support;

use engineio_server::{EngineConfig, Revision};
use support::{Server, within};

const VERSION: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;

#[tokio::test]
async fn by_default() {
    let server = Server::echo(EngineConfig::default()).await;
    within(server.request("GET", "EIO=3&transport=polling", "")).await.is(400, VERSION);
    assert!(server.connect("EIO=3&transport=websocket").await.is_err());
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn and_others_are_refused_where_it_is_allowed() {
    let server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    for eio in ["", "&EIO=", "&EIO=2", "&EIO=5", "&EIO=abc", "&EIO=03"] {
        let query = format!("transport=polling{eio}");
        within(server.request("GET", &query, "")).await.is(400, VERSION);
    }
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn and_a_session_keeps_the_revision_it_was_opened_with() {
    let server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    let (older, newer) = (server.open_v3("").await, server.open().await);
    for (sid, eio, body) in [(&older, 4, "6:4hello"), (&newer, 3, "4hello")] {
        let query = format!("EIO={eio}&transport=polling&sid={sid}");
        within(server.request("POST", &query, body)).await.is(200, "ok");
        within(server.request("GET", &query, "")).await.is(200, body);
    }
    let revision = |sid: &str| server.engine.client(sid).map(|handle| handle.revision());
    assert_eq!((revision(&older), revision(&newer)), (Some(Revision::V3), Some(Revision::V4)));
}
