//! While more than half of the outgoing queue is full, the server accepts no message from the
//! client, so that replies find room.

use crate::support;

use std::{future::poll_fn, task::Poll, time::Duration};

use engineio_server::{CloseReason, Connection, Engine, EngineConfig, Event};
use support::{Server, frame, poll_once, waiting, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An echo server that fails if a reply is refused.
fn answering(config: EngineConfig) -> Engine {
    Engine::new(config, |mut connection: Connection| async move {
        while let Ok(data) = connection.recv().await {
            connection.send(data).unwrap();
        }
    })
}

fn small() -> EngineConfig {
    EngineConfig::default().max_queued_packets(8)
}

#[tokio::test]
async fn no_message_is_received_while_half_of_the_queue_is_full() {
    let (server, mut connections) = Server::manual(small()).await;
    let sid = server.open().await;
    let mut connection = within(connections.recv()).await.unwrap();
    let body = vec!["4a"; 20].join("\u{1e}");
    within(server.post(&sid, body)).await.is(200, "ok");
    let mut taken = 0;
    loop {
        let event = poll_once(&mut Box::pin(connection.event())).await;
        let Some(event) = event else { break };
        assert!(matches!(event, Event::Message(_)));
        connection.send("answer").unwrap();
        taken += 1;
    }
    assert_eq!(taken, 5);
    // The client reads, so the server continues at once.
    let next = tokio::spawn(async move { connection.event().await });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    assert_eq!(within(server.get(&sid)).await.status, 200);
    assert_eq!(within(next).await.unwrap(), support::text("a"));
}

#[tokio::test]
async fn a_polling_client_that_reads_gets_every_reply() {
    let server = Server::start(answering(small())).await;
    let sid = server.open().await;
    let body = (0..1000).map(|n| format!("4{n}")).collect::<Vec<_>>().join("\u{1e}");
    let post = waiting(server.post(&sid, body)).await;
    let mut got = Vec::new();
    while got.len() < 1000 {
        let answer = within(server.get(&sid)).await;
        got.extend(answer.body.split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(got, (0..1000).map(|n| format!("4{n}")).collect::<Vec<_>>());
    within(post).await.is(200, "ok");
}

#[tokio::test]
async fn a_websocket_that_reads_gets_every_reply() {
    for config in [small(), EngineConfig::default()] {
        let server = Server::start(answering(config)).await;
        let client = server.raw_websocket().await;
        let (mut read, mut write) = client.into_split();
        let sent = tokio::spawn(async move {
            let all: Vec<u8> =
                (0..30_000).flat_map(|n| frame(0x81, format!("4{n}").as_bytes())).collect();
            write.write_all(&all).await.unwrap();
            write
        });
        for n in 0..30_000 {
            let head = within(read.read_u16()).await.unwrap();
            let mut payload = vec![0; usize::from(head as u8)];
            within(read.read_exact(&mut payload)).await.unwrap();
            assert_eq!(payload, format!("4{n}").as_bytes());
        }
        within(sent).await.unwrap();
    }
}

#[tokio::test]
async fn the_server_stops_reading_a_websocket_that_does_not_read() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let mut client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    client.write_all(&frame(0x81, b"4a").repeat(100)).await.unwrap();
    // More than the kernel accepts plus half of the queue.
    while connection.handle().has_room() {
        connection.send("x".repeat(1_000_000)).unwrap();
        let pending = poll_fn(|cx| Poll::Ready(connection.poll_event(cx).is_pending())).await;
        assert!(pending || connection.handle().has_room());
    }
    for _ in 0..100 {
        let event = poll_once(&mut Box::pin(connection.event())).await;
        assert!(event.is_none(), "{event:?}");
    }
}

/// Otherwise a byte now and then would keep the session and its queue alive for days.
#[tokio::test(start_paused = true)]
async fn a_websocket_that_sends_but_does_not_read_times_out() {
    let config = EngineConfig::default()
        .ping_interval(Duration::from_secs(3))
        .ping_timeout(Duration::from_secs(2));
    let (server, mut connections) = Server::manual(config).await;
    let mut client = server.bare_websocket("").await;
    let mut connection = connections.recv().await.unwrap();
    while connection.handle().has_room() {
        connection.send("x".repeat(1_000_000)).unwrap();
        let _ = poll_once(&mut Box::pin(connection.event())).await;
    }
    let since = tokio::time::Instant::now();
    let trickle = async {
        for byte in frame(0x81, &[b'4'; 1000]) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.write_all(&[byte]).await.unwrap();
        }
    };
    tokio::select! {
        () = trickle => panic!("the session does not end"),
        event = connection.event() => {
            assert_eq!(event, Event::Closed(CloseReason::PingTimeout));
        }
    }
    assert!(since.elapsed() < Duration::from_secs(10));
}

/// Each piece that the client reads is a sign of life, although it has not reached the ping behind
/// them yet.
#[tokio::test(start_paused = true)]
async fn a_websocket_that_reads_slowly_stays() {
    let config = EngineConfig::default()
        .ping_interval(Duration::from_secs(3))
        .ping_timeout(Duration::from_secs(2))
        // Much more than the kernel accepts at once.
        .max_queued_bytes(64 << 20);
    let (server, mut connections) = Server::manual(config).await;
    let mut client = server.bare_websocket("").await;
    let mut connection = connections.recv().await.unwrap();
    while connection.send("x".repeat(1_000_000)).is_ok() {
        let _ = poll_once(&mut Box::pin(connection.event())).await;
    }
    let handle = connection.handle().clone();
    let since = tokio::time::Instant::now();
    let reading = async {
        let mut piece = vec![0; 64 * 1024];
        while !handle.has_room() {
            let before = handle.queued().bytes;
            while handle.queued().bytes == before {
                client.read_exact(&mut piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(1900)).await;
        }
    };
    tokio::select! {
        () = reading => {}
        event = connection.event() => panic!("{event:?}"),
    }
    assert!(since.elapsed() > Duration::from_secs(5));
}
