//! Protocol: "there must be at most one GET at a time". As in Node, the pending GET gets a close
//! packet.

use crate::support;

use engineio_server::{CloseReason, EngineConfig};
use support::{Server, within};

#[tokio::test]
async fn a_second_poll_closes_the_session() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let first = server.waiting_get(&sid).await;
    within(server.get(&sid)).await.is(400, "");
    within(first).await.is(200, "1");
    assert_eq!(server.closed().await, CloseReason::TransportError);
    assert!(server.is_gone(&sid).await);
}
