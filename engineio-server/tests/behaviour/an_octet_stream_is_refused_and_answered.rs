//! Revision 4 has no binary bodies. Older versions of Node's server did not answer such a request.

use crate::support;

use engineio_server::{CloseReason, EngineConfig};
use http::Request;
use http_body_util::Full;
use support::{Server, within};

#[tokio::test]
async fn an_octet_stream_is_refused_and_answered() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let request = Request::post(format!("/engine.io/?EIO=4&transport=polling&sid={sid}"))
        .header("content-type", "Application/Octet-Stream")
        .body(Full::<bytes::Bytes>::from("4hello"))
        .unwrap();
    within(server.send(request)).await.is(400, "");
    assert_eq!(server.closed().await, CloseReason::TransportError);
    within(get).await.is(200, "1");
    assert!(server.is_gone(&sid).await);
}
