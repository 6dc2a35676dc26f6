//! Parity: `initialPacket`. It is the first message, and on polling part of the handshake's
//! response.

use crate::support;

use engineio_server::EngineConfig;
use support::{Server, within};

#[tokio::test]
async fn an_initial_packet_comes_with_the_open_packet() {
    let server = Server::echo(EngineConfig::default().initial_packet("hello")).await;
    for _ in 0..2 {
        let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
        let (open, hello) = answer.body.split_once('\u{1e}').unwrap();
        let sid = support::sid_of(open);
        assert_eq!(hello, "4hello");
        within(server.post(&sid, "4a")).await.is(200, "ok");
        within(server.get(&sid)).await.is(200, "4a");

        let (mut websocket, _) = server.websocket().await;
        assert_eq!(websocket.text().await, "4hello");
    }
}
