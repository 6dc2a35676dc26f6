//! [`Engine::drain`](engineio_server::Engine::drain), on the virtual clock.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, EngineConfig, RequestError};
use support::{Message, Server, frame, until, within};
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    task::JoinHandle,
    time::{Instant, advance, pause, resume, sleep},
};

const SECOND: Duration = Duration::from_secs(1);

/// A configuration in which only the drain ends sessions.
fn quiet() -> EngineConfig {
    EngineConfig::default().ping_interval(1_000_000 * SECOND)
}

fn drain(server: &Server, duration: Duration) -> JoinHandle<engineio_server::DrainSummary> {
    let engine = server.engine.clone();
    tokio::spawn(async move { engine.drain(duration).await })
}

#[tokio::test(start_paused = true)]
async fn sessions_close_evenly_spread_at_random_times() {
    const SESSIONS: usize = 100;
    let server = Server::echo(quiet()).await;
    let mut gets = Vec::new();
    for _ in 0..SESSIONS {
        let sid = server.open().await;
        let get = server.waiting_get(&sid).await;
        gets.push(tokio::spawn(async move {
            get.await.is(200, "1");
            Instant::now()
        }));
    }
    let start = Instant::now();
    let drained = server.engine.drain(10 * SECOND).await;
    assert!(start.elapsed() <= 10 * SECOND, "the drain returns when all sessions have ended");
    assert_eq!((drained.sessions, drained.closed), (SESSIONS, SESSIONS));
    assert_eq!((drained.gone, drained.forced, drained.remaining), (0, 0, 0));

    let mut ends = Vec::new();
    for get in gets {
        ends.push((get.await.unwrap() - start).as_millis() as usize);
    }
    ends.sort_unstable();
    let mut early = 0;
    for (index, end) in ends.iter().enumerate() {
        // Tokio's clock ticks in milliseconds.
        assert!((index * 100..=(index + 1) * 100 + 1).contains(end), "{index}: {end} ms");
        early += usize::from(end % 100 < 50);
    }
    assert!((20..80).contains(&early), "{early} of {SESSIONS} in the first half of their share");
}

#[tokio::test]
async fn new_sessions_are_refused_and_open_ones_served() {
    let mut server = Server::echo(quiet()).await;
    let sid = server.open().await;
    pause();
    let draining = drain(&server, 100_000 * SECOND);
    tokio::task::yield_now().await;

    let refused = server.request("GET", "EIO=4&transport=polling", "").await;
    refused.is(503, r#"{"code":6,"message":"Server shutting down"}"#);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("connection"), "close");
    assert_eq!(refused.header("content-type"), "application/json");
    assert_eq!(RequestError::ShuttingDown.code(), 6);
    resume();
    let refused = server.connect("EIO=4&transport=websocket").await;
    assert!(refused.is_err_and(|error| error.to_string().contains("503")));

    within(server.post(&sid, "4hello")).await.is(200, "ok");
    within(server.get(&sid)).await.is(200, "4hello");
    let mut websocket = server.probe(&sid).await;
    websocket.send("2probe").await;
    assert_eq!(websocket.text().await, "3probe");
    websocket.send("5").await;
    websocket.send("4again").await;
    assert_eq!(websocket.text().await, "4again");

    pause();
    advance(100_000 * SECOND).await;
    resume();
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    assert_eq!(websocket.next().await, Some(Message::Close(None)));
    drop(websocket);
    assert_eq!(within(draining).await.unwrap().closed, 1);
}

#[tokio::test(start_paused = true)]
async fn queued_messages_are_sent_first() {
    let server = Server::echo(quiet().linger(5 * SECOND)).await;
    let (taker, leaver, sleeper) = (server.open().await, server.open().await, server.open().await);
    for sid in [&taker, &sleeper] {
        server.engine.client(sid).unwrap().send("last words").unwrap();
    }
    server.post(&leaver, "1").await.is(200, "ok");

    let start = Instant::now();
    let draining = drain(&server, Duration::ZERO);
    tokio::task::yield_now().await;
    // The session was closed while none of its requests was pending.
    server.get(&taker).await.is(200, "4last words");
    server.get(&taker).await.is(200, "6\x1e1");
    let drained = draining.await.unwrap();
    assert_eq!((drained.sessions, drained.closed, drained.forced), (2, 1, 1));
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(server.engine.clients_count(), 0);
    server.get(&sleeper).await.is(400, r#"{"code":1,"message":"Session ID unknown"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_queue_may_take_as_long_as_linger() {
    let server = Server::echo(quiet().linger(1000 * SECOND)).await;
    let sid = server.open().await;
    server.engine.client(&sid).unwrap().send("last words").unwrap();
    let draining = drain(&server, Duration::ZERO);
    sleep(999 * SECOND).await;
    server.get(&sid).await.is(200, "4last words");
    server.get(&sid).await.is(200, "6\x1e1");
    assert_eq!(draining.await.unwrap().closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_no_session_is_left() {
    let server = Server::echo(quiet()).await;
    assert_eq!(server.engine.drain(1000 * SECOND).await.sessions, 0);

    let server = Server::echo(quiet()).await;
    let (one, two) = (server.open().await, server.open().await);
    let start = Instant::now();
    let draining = drain(&server, 1_000_000 * SECOND);
    tokio::task::yield_now().await;
    for sid in [one, two] {
        server.post(&sid, "1").await.is(200, "ok");
    }
    assert_eq!(draining.await.unwrap().gone, 2);
    assert_eq!(start.elapsed(), Duration::ZERO);

    // `close` cuts the drain short.
    let server = Server::echo(quiet()).await;
    let sid = server.open().await;
    let get = server.waiting_get(&sid).await;
    let draining = drain(&server, 1_000_000 * SECOND);
    tokio::task::yield_now().await;
    server.engine.close();
    get.await.is(200, "1");
    assert_eq!(draining.await.unwrap().sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_application_does_not_poll_is_reported() {
    let (server, mut connections) = Server::manual(quiet()).await;
    server.open().await;
    let connection = connections.recv().await.unwrap();
    let start = Instant::now();
    let drained = server.engine.drain(SECOND).await;
    assert_eq!((drained.sessions, drained.forced, drained.remaining), (1, 1, 1));
    assert!(start.elapsed() <= 7 * SECOND);
    drop(connection);
    assert_eq!(server.engine.clients_count(), 0);
}

/// Connects a client that sends messages until the connection ends. Reads the echoes if `reads`.
async fn flood(server: &Server, reads: bool) -> JoinHandle<()> {
    let (mut from, mut to) = server.raw_websocket().await.into_split();
    tokio::spawn(async move {
        let many = frame(0x81, &[b'4'; 1000]).repeat(100);
        let send = async { while to.write_all(&many).await.is_ok() {} };
        let receive = async {
            if reads {
                let _ = copy(&mut from, &mut sink()).await;
            }
        };
        tokio::join!(send, receive);
    })
}

async fn skip(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

/// Four clients flood the server, and two of them read the echoes.
#[tokio::test]
async fn a_drain_ends_in_time_although_clients_flood() {
    const HOUR: Duration = Duration::from_secs(3600);
    let server = Server::echo(quiet().linger(HOUR)).await;
    let mut floods = Vec::new();
    for reads in [true, true, false, false] {
        floods.push(flood(&server, reads).await);
    }
    let stats = || server.engine.stats();
    // Each client that does not read fills half of its queue.
    until(|| stats().queued_packets > 2 * 4096).await;

    let draining = drain(&server, HOUR);
    tokio::task::yield_now().await;
    let refused = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    assert_eq!(refused.status, 503);
    assert_eq!(server.engine.clients_count(), 4);

    // The queues of the clients that read are sent, after a few turns of each session.
    let before = stats().traffic.packets_in;
    skip(HOUR).await;
    until(|| server.engine.clients_count() == 2).await;
    let read = stats().traffic.packets_in - before;
    assert!(read <= 40 * 256, "{read} packets were read before two sessions ended");
    assert!(!draining.is_finished());

    // The other queues are dropped.
    skip(HOUR).await;
    until(|| server.engine.clients_count() == 0).await;

    // The clients do not close their connections, so the server drops them.
    skip(HOUR).await;
    let drained = within(draining).await.unwrap();
    assert_eq!((drained.sessions, drained.closed, drained.forced), (4, 2, 2));
    assert_eq!((drained.gone, drained.remaining), (0, 0));
    // The last connections were closed after the drain began to wait for them.
    skip(HOUR).await;
    within(server.engine.ended()).await;
    for flood in floods {
        within(flood).await.unwrap();
    }
}
