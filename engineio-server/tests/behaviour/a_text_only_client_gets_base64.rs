//! With `b64=1` in a WebSocket's query, binary messages are sent as base64 text, in revisions 3 and
//! 4.

use crate::support;

use engineio_server::EngineConfig;
use support::{Message, Server, within};

#[tokio::test]
async fn a_session_opened_by_websocket_gets_base64() {
    let server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    for (eio, sent, echo) in [(3, &[4, 1, 2][..], "b4AQI="), (4, &[1, 2], "bAQI=")] {
        let (mut websocket, _) = server.websocket_with(&format!("EIO={eio}&b64=1")).await;
        websocket.send(Message::binary(sent.to_vec())).await;
        assert_eq!(websocket.text().await, echo);
        websocket.send(echo).await;
        assert_eq!(websocket.text().await, echo);
        websocket.send("4hello").await;
        assert_eq!(websocket.text().await, "4hello");
    }
}

#[tokio::test]
async fn the_query_of_the_websocket_decides_after_an_upgrade() {
    let server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    for (polling, websocket, echo) in
        [("&b64=1", "", Message::binary(vec![4, 1, 2])), ("", "&b64=1", Message::text("b4AQI="))]
    {
        let sid = server.open_v3(polling).await;
        let query = format!("EIO=3&transport=websocket&sid={sid}{websocket}");
        let mut websocket = server.connect(&query).await.unwrap();
        websocket.send("2probe").await;
        assert_eq!(websocket.text().await, "3probe");
        within(server.get(&sid)).await.is(200, "1:6");
        websocket.send("5").await;
        websocket.send(Message::binary(vec![4, 1, 2])).await;
        assert_eq!(websocket.next().await, Some(echo));
    }
}
