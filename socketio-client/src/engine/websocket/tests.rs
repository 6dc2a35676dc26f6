use std::task::{Context, Waker};

use engineio_parser::websocket::{Header, PING, PONG, apply_mask, encode};

use super::{Closing, MessageTransport, Pong, Reader, Revision, WebSocket, Writer};

const LIMIT: usize = 20_000;

#[tokio::test]
async fn a_pong_to_a_forgotten_ping_confirms_nothing() {
    use tokio::io::AsyncWriteExt;

    let (stream, mut server) = tokio::io::duplex(1024);
    let mut socket = WebSocket {
        stream: Box::new(stream),
        reader: Reader::new(LIMIT, &[]),
        writer: Writer::default(),
        revision: Revision::V4,
        base64: false,
        filled: false,
        pong: Pong::Idle,
        pings: 0,
        closing: Closing::NotStarted,
    };
    let mut cx = Context::from_waker(Waker::noop());
    assert!(socket.poll_confirmed(&mut cx).is_pending());
    let first = pong(&mut server).await;
    socket.forget_confirmation();
    assert!(socket.poll_confirmed(&mut cx).is_pending());
    let second = pong(&mut server).await;
    for (answer, confirmed) in [(first, false), (second, true)] {
        server.write_all(&answer).await.unwrap();
        assert!(socket.poll_read(&mut cx).is_pending());
        assert_eq!(socket.poll_confirmed(&mut cx).is_ready(), confirmed);
    }
}

/// Reads a ping of the client, and returns the pong to it.
async fn pong(server: &mut tokio::io::DuplexStream) -> Vec<u8> {
    use tokio::io::AsyncReadExt;

    let mut head = [0; 6];
    server.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], PING);
    let (header, _) = Header::parse(&head).unwrap().unwrap();
    let mut payload = vec![0; header.payload_len as usize];
    server.read_exact(&mut payload).await.unwrap();
    apply_mask(&mut payload, header.mask.unwrap());
    encode(PONG, None, &payload)
}
