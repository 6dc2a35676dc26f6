//! A busy connection yields to others after a bounded amount of work. These tests measure turns in
//! packets, messages and bytes. Deadlines pass on the virtual clock.

use crate::support;

use std::{future::poll_fn, task::Poll, time::Duration};

use engineio_server::{CloseReason, Connection, EngineConfig, Event, TurnLimits};
use support::{Server, frame, within};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{advance, pause},
};

const LINGER: Duration = Duration::from_secs(2);

/// The smallest step of tokio's clock.
const TICK: Duration = Duration::from_millis(1);

/// The default limits, without the one on time.
fn limits() -> TurnLimits {
    let mut limits = TurnLimits::default();
    limits.time = Duration::MAX;
    limits
}

fn config() -> EngineConfig {
    EngineConfig::default().turn(limits())
}

/// The work done in one poll.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    messages: u64,
    packets: u64,
    bytes: u64,
    ended: bool,
}

/// Polls a connection until it is pending, as one poll of its task does. Returns the work done.
fn turn(server: &Server, connection: &mut Connection, cx: &mut std::task::Context<'_>) -> Work {
    let before = server.engine.stats().traffic;
    let mut work = Work::default();
    while let Poll::Ready(event) = connection.poll_event(cx) {
        match event {
            Event::Message(_) => work.messages += 1,
            Event::Closed(_) => {
                work.ended = true;
                break;
            }
            _ => {}
        }
    }
    let after = server.engine.stats().traffic;
    work.packets = after.packets_in - before.packets_in;
    work.bytes = after.bytes_in - before.bytes_in;
    work
}

/// Polls until `messages` messages were handled. Returns the work of each poll.
async fn turns(server: &Server, connection: &mut Connection, messages: u64) -> Vec<Work> {
    turns_until(server, connection, |work| work.messages, messages).await
}

/// Polls until the sum of `of` over all polls reaches `enough`. Returns the work of each poll.
async fn turns_until(
    server: &Server,
    connection: &mut Connection,
    of: fn(&Work) -> u64,
    enough: u64,
) -> Vec<Work> {
    let mut turns = Vec::new();
    within(poll_fn(|cx| {
        let work = turn(server, connection, cx);
        turns.push(work);
        if turns.iter().map(of).sum::<u64>() >= enough { Poll::Ready(()) } else { Poll::Pending }
    }))
    .await;
    turns
}

/// Sends `one` about `times` times in a task of its own.
fn flood(mut client: TcpStream, one: Vec<u8>, times: usize) -> tokio::task::JoinHandle<TcpStream> {
    tokio::spawn(async move {
        let many = one.repeat(1000);
        for _ in 0..times / 1000 {
            client.write_all(&many).await.unwrap();
        }
        client
    })
}

#[tokio::test]
async fn a_turn_handles_a_limited_number_of_messages() {
    let (server, mut connections) = Server::manual(config()).await;
    let client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    let sent = flood(client, frame(0x81, b"4hello"), 20_000);
    let turns = turns(&server, &mut connection, 20_000).await;
    let most = turns.iter().map(|work| work.messages).max().unwrap();
    assert_eq!(most, u64::from(limits().messages));
    assert!(turns.iter().all(|work| work.packets <= u64::from(limits().packets)));
    assert_eq!(turns.iter().map(|work| work.messages).sum::<u64>(), 20_000, "no message is lost");
    sent.await.unwrap();
}

#[tokio::test]
async fn a_turn_reads_a_limited_number_of_packets() {
    let (server, mut connections) = Server::manual(config()).await;
    let client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    let sent = flood(client, frame(0x81, b"6"), 20_000);
    let turns = turns_until(&server, &mut connection, |work| work.packets, 20_000).await;
    let most = turns.iter().map(|work| work.packets).max().unwrap();
    assert_eq!(most, u64::from(limits().packets));
    sent.await.unwrap();
}

#[tokio::test]
async fn a_turn_reads_a_limited_number_of_bytes() {
    let (server, mut connections) = Server::manual(config()).await;
    let client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    let one = frame(0x81, &[b'4'; 10_000]);
    let len = one.len();
    let sent = flood(client, one, 1000);
    let turns = turns(&server, &mut connection, 1000).await;
    let most = turns.iter().map(|work| work.bytes).max().unwrap() as usize;
    assert!(most <= limits().bytes + len, "{most}");
    sent.await.unwrap();
}

#[tokio::test]
async fn a_large_message_uses_up_a_turn() {
    let (server, mut connections) = Server::manual(config()).await;
    let client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    let one = frame(0x81, &[b'4'; 500_000]);
    let sent = tokio::spawn(async move {
        let mut client = client;
        client.write_all(&one.repeat(8)).await.unwrap();
        client
    });
    let turns = turns(&server, &mut connection, 8).await;
    assert!(turns.iter().all(|work| work.messages <= 1), "{turns:?}");
    sent.await.unwrap();
}

#[tokio::test]
async fn slow_messages_end_a_turn_early() {
    let mut limits = TurnLimits::default();
    limits.time = Duration::ZERO;
    let (server, mut connections) = Server::manual(EngineConfig::default().turn(limits)).await;
    let client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    let sent = flood(client, frame(0x81, b"4hello"), 1000);
    let turns = turns(&server, &mut connection, 1000).await;
    assert!(turns.iter().all(|work| work.messages <= 4));
    sent.await.unwrap();
}

#[tokio::test]
async fn the_messages_of_a_post_are_spread_over_turns() {
    let (server, mut connections) = Server::manual(config()).await;
    let sid = server.open().await;
    let mut connection = within(connections.recv()).await.unwrap();
    let body = "4a\u{1e}".repeat(10_000);
    let post = tokio::spawn(server.post(&sid, body.trim_end_matches('\u{1e}').to_owned()));
    let turns = turns(&server, &mut connection, 10_000).await;
    assert!(turns.iter().all(|work| work.messages <= u64::from(limits().messages)));
    drop(connection);
    within(post).await.unwrap();
}

/// A client that sends one message next to four that flood is answered after a few turns of each.
#[tokio::test]
async fn a_client_among_floods_is_answered_after_a_few_turns() {
    let mut server = Server::echo(config()).await;
    let flood = frame(0x81, b"4hello").repeat(20_000);
    let mut floods = Vec::new();
    for _ in 0..4 {
        let client = server.raw_websocket().await;
        // As much as the kernel accepts. The runtime has not read any of it yet.
        let sent = client.try_write(&flood).unwrap();
        assert!(sent > 100_000, "{sent}");
        floods.push(client);
    }
    let (mut websocket, _) = server.websocket().await;
    let packets = || server.engine.stats().traffic.packets_in;
    let before = packets();
    websocket.send("4mine").await;
    assert_eq!(websocket.text().await, "4mine");
    let between = packets() - before;
    assert!(between <= 4 * 4 * 256, "{between} packets of others came first");
    drop(floods);
    while server.engine.clients_count() > 1 {
        server.event().await;
    }
}

/// Connects a client that floods the server with messages and does not read. The session's queue is
/// not empty and cannot be sent. The client has sent many more messages than were handled.
async fn flood_that_does_not_read() -> (Server, Connection, TcpStream) {
    // Only the engine's close sets a deadline.
    let config = config().ping_interval(1_000_000 * LINGER).linger(LINGER);
    let (server, mut connections) = Server::manual(config).await;
    let client = server.bare_websocket("").await;
    let mut connection = within(connections.recv()).await.unwrap();
    while connection.handle().queued().bytes < 1_000_000 {
        connection.send("x".repeat(100_000)).unwrap();
        one_turn(&server, &mut connection).await;
    }
    let sent = client.try_write(&frame(0x81, b"4").repeat(100_000)).unwrap();
    assert!(sent > 100_000, "{sent}");
    turns(&server, &mut connection, 1000).await;
    (server, connection, client)
}

/// Polls a connection until it is pending, then lets other tasks run.
async fn one_turn(server: &Server, connection: &mut Connection) -> Work {
    let work = poll_fn(|cx| Poll::Ready(turn(server, connection, cx))).await;
    tokio::task::yield_now().await;
    work
}

#[tokio::test]
async fn closing_stops_a_flood_within_a_turn() {
    let (server, mut connection, _client) = flood_that_does_not_read().await;
    // In the middle of a turn.
    assert!(matches!(within(connection.event()).await, Event::Message(_)));
    server.engine.close();
    let mut after = Work::default();
    for _ in 0..8 {
        let work = one_turn(&server, &mut connection).await;
        after.messages += work.messages;
        after.packets += work.packets;
        assert!(!work.ended, "the queue was not sent");
    }
    assert!(after.packets > u64::from(4 * limits().packets), "the flood goes on: {after:?}");
    assert!(after.messages < u64::from(limits().messages), "{after:?}");
}

/// The connection always has more to read, so it never waits for its timer.
#[tokio::test]
async fn linger_ends_the_session_of_a_flooding_client_that_does_not_read() {
    let (server, mut connection, _client) = flood_that_does_not_read().await;
    pause();
    server.engine.close();
    // The last turn before the end looks at the clock after it has read.
    for (time, turns) in [(LINGER - TICK, 4), (TICK, 1)] {
        advance(time).await;
        for _ in 0..turns {
            let work = one_turn(&server, &mut connection).await;
            assert!(work.packets > 0 && !work.ended, "{work:?}");
        }
    }
    assert!(one_turn(&server, &mut connection).await.ended, "the session outlived `linger`");
    assert_eq!(connection.event().await, Event::Closed(CloseReason::ForcedClose));
    drop(connection);
    server.engine.ended().await;
}

#[cfg(feature = "compression")]
mod inflated {
    use engineio_server::PerMessageDeflate;
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    /// A message of 900 KB, compressed to about a kilobyte.
    fn bomb() -> Vec<u8> {
        let message = [b"4".as_slice(), &[b'x'; 900_000]].concat();
        let mut out = Vec::with_capacity(10_000);
        let mut context = Compress::new(Compression::best(), false);
        context.compress_vec(&message, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        frame(0xc1, &out)
    }

    async fn connect() -> (Server, Connection, TcpStream) {
        connect_with(config()).await
    }

    async fn connect_with(config: EngineConfig) -> (Server, Connection, TcpStream) {
        let config = config.per_message_deflate(PerMessageDeflate::default());
        let (server, mut connections) = Server::manual(config).await;
        let offer = "sec-websocket-extensions: permessage-deflate; client_no_context_takeover\r\n";
        let client = server.bare_websocket(offer).await;
        let connection = within(connections.recv()).await.unwrap();
        (server, connection, client)
    }

    #[tokio::test]
    async fn a_turn_inflates_one_large_message() {
        let (server, mut connection, mut client) = connect().await;
        client.write_all(&bomb().repeat(30)).await.unwrap();
        let turns = turns(&server, &mut connection, 30).await;
        assert!(turns.iter().all(|work| work.messages <= 1 && work.bytes <= 900_001), "{turns:?}");
    }

    #[tokio::test]
    async fn a_connection_whose_turns_are_used_up_by_compression_still_reads() {
        let mut limits = limits();
        limits.bytes = 1;
        let (_server, mut connection, mut client) =
            connect_with(EngineConfig::default().turn(limits)).await;
        client.write_all(&frame(0x81, b"4up")).await.unwrap();
        for _ in 0..1000 {
            connection.send("down").unwrap();
            if poll_fn(|cx| Poll::Ready(connection.poll_event(cx).is_ready())).await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("nothing was read");
    }

    /// Frames of 60 messages, which would inflate to 54 MB, stay compressed. Only one inflated
    /// message waits.
    #[tokio::test]
    async fn no_message_is_inflated_while_reading_is_paused() {
        let (server, mut connection, mut client) = connect().await;
        let bombs = bomb().repeat(60);
        assert!(bombs.len() < 64 * 1024);
        client.write_all(&bombs).await.unwrap();
        // The application pauses reading at the first message.
        assert!(matches!(within(connection.event()).await, Event::Message(_)));
        connection.pause_reading();
        for _ in 0..100 {
            assert_eq!(one_turn(&server, &mut connection).await.messages, 0);
        }
        let inflated = server.engine.stats().traffic.bytes_in;
        assert!(inflated <= 900_001, "{inflated} bytes were inflated for one message");
        connection.resume_reading();
        let turns = turns(&server, &mut connection, 59).await;
        assert_eq!(turns.iter().map(|work| work.messages).sum::<u64>(), 59);
    }
}

/// Counts how often a task is polled.
#[tokio::test]
async fn an_echo_polls_the_task_once() {
    use std::{
        future::Future,
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering::Relaxed},
        },
    };

    let polls = Arc::new(AtomicU32::new(0));
    let counted = polls.clone();
    let application = move |mut connection: Connection| {
        let polls = counted.clone();
        async move {
            let mut echo = pin!(async move {
                while let Ok(data) = connection.recv().await {
                    drop(connection.send(data));
                }
            });
            poll_fn(|cx| {
                polls.fetch_add(1, Relaxed);
                echo.as_mut().poll(cx)
            })
            .await;
        }
    };
    let server = Server::start(engineio_server::Engine::new(config(), application)).await;
    let (mut websocket, _) = server.websocket().await;
    let before = polls.load(Relaxed);
    for _ in 0..100 {
        websocket.send("4hello").await;
        websocket.next().await;
    }
    // The last poll may still be to come, and the first may belong to the handshake.
    let polls = polls.load(Relaxed) - before;
    assert!((99..=101).contains(&polls), "{polls} polls for 100 echoes");
}
