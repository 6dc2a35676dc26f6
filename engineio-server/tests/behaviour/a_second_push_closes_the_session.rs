//! Protocol: "there must be at most one POST at a time".

use crate::support;

use engineio_server::{CloseReason, EngineConfig};
use http::Request;
use support::{Server, waiting, within};

#[tokio::test]
async fn a_second_push_closes_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;

    let uri = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
    let endless = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<http_body::Frame<bytes::Bytes>, std::io::Error>,
    >());
    let first = waiting(server.send(Request::post(uri).body(endless).unwrap())).await;

    within(server.post(&sid, "4b")).await.is(400, "");
    // The first POST, which is still being read, is refused as well.
    within(first).await.is(400, "");
    assert_eq!(server.closed().await, CloseReason::TransportError);
    within(get).await.is(200, "1");
    assert!(server.is_gone(&sid).await);
}
