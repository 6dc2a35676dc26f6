//! `allow_eio3` is off by default. If it is on, every `EIO` other than `4` means revision 3, as in
//! Node.

use crate::support;

use engineio_server::{EngineConfig, Revision};
use support::{Server, within};

const VERSION: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;
const REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;

#[tokio::test]
async fn revision_3_is_refused_by_default() {
    let server = Server::echo(EngineConfig::default()).await;
    within(server.request("GET", "EIO=3&transport=polling", "")).await.is(400, VERSION);
    assert!(server.connect("EIO=3&transport=websocket").await.is_err());
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test]
async fn every_eio_other_than_4_is_revision_3_if_allowed() {
    let server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    for eio in ["", "&EIO=", "&EIO=2", "&EIO=5", "&EIO=abc", "&EIO=03"] {
        let query = format!("transport=polling{eio}");
        let answer = within(server.request("GET", &query, "")).await;
        let (_, open) = answer.body.split_once(':').unwrap();
        let handle = server.engine.client(&support::sid_of(open)).unwrap();
        assert_eq!(handle.revision(), Revision::V3, "{eio}");
    }
    let (mut websocket, sid) = server.websocket_with("b64=1").await;
    assert_eq!(server.engine.client(&sid).unwrap().revision(), Revision::V3);
    websocket.send("2").await;
    assert_eq!(websocket.text().await, "3");
}

#[tokio::test]
async fn later_requests_must_name_the_revision_of_their_session() {
    let server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    let (older, newer) = (server.open_v3("").await, server.open().await);
    for (sid, fits, others, body) in [
        (&older, "EIO=3&", &["EIO=4&"][..], "6:4hello"),
        (&newer, "EIO=4&", &["EIO=3&", ""], "4hello"),
    ] {
        for other in others {
            let query = format!("{other}transport=polling&sid={sid}");
            for method in ["GET", "POST"] {
                within(server.request(method, &query, body)).await.is(400, REQUEST);
            }
            let query = format!("{other}transport=websocket&sid={sid}");
            assert!(server.connect(&query).await.is_err());
        }
        let query = format!("{fits}transport=polling&sid={sid}");
        within(server.request("POST", &query, body)).await.is(200, "ok");
        within(server.request("GET", &query, "")).await.is(200, body);
    }
    // A request without `EIO` is of revision 3.
    let query = format!("transport=polling&sid={older}");
    within(server.request("POST", &query, "6:4hello")).await.is(200, "ok");
}
