//! The queue of a client that does not read is limited, in packets and in bytes.

use crate::support;

use bytes::Bytes;
use engineio_server::{EngineConfig, Frame, Handle, Queued, SendError, Unsent};
use support::{Message, Server, within};

#[tokio::test]
async fn a_polling_client_has_a_bounded_queue() {
    let config = EngineConfig::default().max_queued_packets(3).max_queued_bytes(100);
    let server = Server::echo(config).await;
    let sid = server.open().await;
    let handle = server.engine.client(&sid).unwrap();
    for message in ["a", "b", "c"] {
        handle.send(message).unwrap();
    }
    match handle.send("d") {
        Err(SendError::Full(frames)) => {
            assert_eq!(frames.iter().next().unwrap().payload(), "4d", "the message is returned");
        }
        other => panic!("{other:?}"),
    }
    within(server.get(&sid)).await.is(200, "4a\x1e4b\x1e4c");
    for message in ["d", "e"] {
        handle.send(message).unwrap();
    }
    assert!(matches!(handle.send("f".repeat(100)), Err(SendError::Full(_))));
    within(server.get(&sid)).await.is(200, "4d\x1e4e");
    // A queue of which half is free accepts a message of any size.
    handle.send("f").unwrap();
    handle.send("g".repeat(100)).unwrap();
    assert!(matches!(handle.send("h"), Err(SendError::Full(_))));
}

#[tokio::test]
async fn a_task_that_waits_for_room_wakes_when_there_is_room_or_the_session_ends() {
    let server = Server::echo(EngineConfig::default().max_queued_packets(4)).await;
    let sid = server.open().await;
    let handle = server.engine.client(&sid).unwrap();
    within(handle.ready()).await;
    for end in [false, true] {
        for message in ["a", "b", "c", "d"] {
            handle.send(message).unwrap();
        }
        let waits = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.ready().await })
        };
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        if end {
            handle.close(Unsent::Discard);
        } else {
            within(server.get(&sid)).await.is(200, "4a\x1e4b\x1e4c\x1e4d");
        }
        within(waits).await.unwrap();
    }
}

#[tokio::test]
async fn a_websocket_has_a_bounded_queue_once_the_kernel_accepts_no_more() {
    const LIMIT: usize = 1 << 20;
    let server = Server::echo(EngineConfig::default().max_queued_bytes(LIMIT)).await;
    let (mut websocket, sid) = server.websocket().await;
    let handle = server.engine.client(&sid).unwrap();
    let message = Bytes::from(vec![7; 64 * 1024]);
    let mut taken = 0;
    while let Some(()) = send_or_stall(&handle, &message).await {
        taken += 1;
    }
    let Queued { packets, bytes } = handle.queued();
    assert_eq!((packets, bytes), (16, LIMIT));
    assert!(!handle.send_volatile(Frame::binary(message.clone()).into()), "volatile is dropped");

    // Every accepted message arrives once the client reads.
    for n in 0..taken {
        assert_eq!(websocket.next().await, Some(Message::binary(message.clone())), "{n}");
    }
    handle.send("room again").unwrap();
    assert_eq!(websocket.text().await, "4room again");
}

/// Sends a message. Returns `None` if the queue stays full however often the driver runs.
async fn send_or_stall(handle: &Handle, message: &Bytes) -> Option<()> {
    for _ in 0..100 {
        match handle.send(message.clone()) {
            Ok(()) => return Some(()),
            Err(SendError::Full(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    None
}
