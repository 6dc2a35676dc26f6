//! Protocol revision 3: on WebSocket, a binary packet starts with its type as one byte.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event, PacketData};
use support::{Message, Server};

#[tokio::test]
async fn binary_frames_have_a_type_byte_in_both_directions() {
    let mut server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    let (mut websocket, _) = server.websocket_with("EIO=3").await;
    for data in [&[1, 2, 3, 4][..], &[], &[7; 125], &[7; 65_535]] {
        let frame = Message::binary([&[4], data].concat());
        websocket.send(frame.clone()).await;
        assert_eq!(server.event().await, Event::Message(PacketData::Binary(data.to_vec().into())));
        assert_eq!(websocket.next().await, Some(frame));
    }
    websocket.send("4hello").await;
    assert_eq!(websocket.text().await, "4hello");
}

#[tokio::test]
async fn a_binary_frame_without_a_type_byte_is_an_error() {
    let mut server = Server::echo(EngineConfig::default().allow_eio3(true)).await;
    for frame in [vec![], vec![9, 1]] {
        let (mut websocket, _) = server.websocket_with("EIO=3").await;
        websocket.send(Message::binary(frame)).await;
        assert_eq!(server.closed().await, CloseReason::ParseError);
        assert_eq!(websocket.close_code().await, None);
    }
}
