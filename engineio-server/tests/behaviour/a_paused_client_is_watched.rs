//! A server notices that a client disconnects even while it does not read the client's messages.

use crate::support;

use std::time::Duration;

use engineio_server::{CloseReason, Connection, EngineConfig, Event};
use support::{Server, frame, poll_once, waiting, within};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// More than a paused connection buffers, and less than the kernel accepts.
const MUCH: usize = 100 * 1024;

fn patient() -> EngineConfig {
    EngineConfig::default().ping_interval(Duration::from_secs(100_000))
}

fn hasty() -> EngineConfig {
    EngineConfig::default()
        .ping_interval(Duration::from_secs(3))
        .ping_timeout(Duration::from_secs(2))
        .pause_timeout(Duration::from_secs(60))
}

/// Opens a session whose reading is paused. Returns it with its client.
async fn paused(config: EngineConfig) -> (Server, Connection, TcpStream) {
    let (server, mut connections) = Server::manual(config).await;
    let client = server.raw_websocket().await;
    let mut connection = within(connections.recv()).await.unwrap();
    connection.pause_reading();
    (server, connection, client)
}

/// Returns the close reason, after skipping messages that were already decoded.
async fn closed(connection: &mut Connection) -> CloseReason {
    let end = async {
        loop {
            if let Event::Closed(reason) = connection.event().await {
                return reason;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), end).await.expect("the session does not end")
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_ends_the_session() {
    let (server, mut connection, client) = paused(patient()).await;
    drop(client);
    assert_eq!(closed(&mut connection).await, CloseReason::TransportClose);
    assert_eq!(server.engine.clients_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_session() {
    let (_server, mut connection, client) = paused(patient()).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(closed(&mut connection).await, CloseReason::TransportError);
}

#[tokio::test(start_paused = true)]
async fn an_end_behind_a_full_buffer_is_noticed_soon() {
    let (_server, mut connection, mut client) = paused(patient()).await;
    let since = tokio::time::Instant::now();
    client.write_all(&frame(0x81, &[b'4'; MUCH])).await.unwrap();
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());
    drop(client);
    assert_eq!(closed(&mut connection).await, CloseReason::TransportClose);
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[cfg(feature = "tls")]
#[tokio::test(start_paused = true)]
async fn the_end_of_a_tls_connection_is_noticed() {
    for much in [0, MUCH] {
        let (server, mut connections) = Server::manual(patient()).await;
        let secure = crate::tls::Secure::listen(&server.engine).await;
        let stream = secure.connect(&[]).await;
        let url = "wss://localhost/engine.io/?EIO=4&transport=websocket";
        let (websocket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut connection = connections.recv().await.unwrap();
        connection.pause_reading();
        let mut stream = websocket.into_inner();
        stream.write_all(&frame(0x81, &vec![b'4'; much])).await.unwrap();
        stream.flush().await.unwrap();
        assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());
        drop(stream);
        let reason = closed(&mut connection).await;
        // Without a close_notify, the end may also be reported as an error.
        assert!(
            matches!(reason, CloseReason::TransportClose | CloseReason::TransportError),
            "{reason}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_session() {
    let (_server, mut connection, _client) = paused(hasty()).await;
    let since = tokio::time::Instant::now();
    assert_eq!(closed(&mut connection).await, CloseReason::PingTimeout);
    assert_eq!(since.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let (server, mut connections) = Server::manual(hasty()).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = connections.recv().await.unwrap();
    connection.pause_reading();
    let client = async {
        assert!(websocket.text().await.starts_with('0'));
        for _ in 0..20 {
            assert_eq!(websocket.text().await, "2");
            websocket.send("3").await;
        }
    };
    tokio::select! {
        () = client => {}
        event = connection.event() => panic!("{event:?}"),
    }
}

/// The client's pongs are behind data that fills the buffer, so the server cannot see them.
#[tokio::test(start_paused = true)]
async fn a_client_whose_data_fills_the_buffer_is_pinged_and_stays() {
    let (server, mut connections) = Server::manual(hasty()).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = connections.recv().await.unwrap();
    connection.pause_reading();
    let long = format!("4{}", "x".repeat(MUCH));
    websocket.send(long.as_str()).await;
    let client = async {
        assert!(websocket.text().await.starts_with('0'));
        for _ in 0..10 {
            assert_eq!(websocket.text().await, "2");
            websocket.send("3").await;
        }
    };
    tokio::select! {
        () = client => {}
        event = connection.event() => panic!("{event:?}"),
    }
    connection.resume_reading();
    assert_eq!(connection.event().await, support::text(&long[1..]));
    // The server reads in time what the client sent in the meantime.
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none());
    assert!(!connection.handle().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_seen_times_out_after_the_pause_timeout() {
    let (_server, mut connection, mut client) = paused(hasty()).await;
    client.write_all(&frame(0x81, &[b'4'; MUCH])).await.unwrap();
    let since = tokio::time::Instant::now();
    assert_eq!(closed(&mut connection).await, CloseReason::PingTimeout);
    assert_eq!(since.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_that_sends_no_requests_times_out() {
    let (server, mut connections) = Server::manual(hasty()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    connection.pause_reading();
    let client = async {
        // The client cannot POST its pongs, because its previous POST is still waiting.
        server.post(&sid, "4a").await.is(200, "ok");
        let _second = waiting(server.post(&sid, "4b")).await;
        for _ in 0..5 {
            server.get(&sid).await.is(200, "2");
        }
        // From now on the client sends no request.
        std::future::pending::<()>().await;
    };
    let since = tokio::time::Instant::now();
    tokio::select! {
        () = client => {}
        reason = closed(&mut connection) => assert_eq!(reason, CloseReason::PingTimeout),
    }
    assert_eq!(since.elapsed().as_secs(), 5 * 3 + 2, "a ping for each GET, and then none");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_during_a_pause_is_dropped() {
    let (server, mut connections) = Server::manual(patient()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    connection.pause_reading();
    within(server.post(&sid, "4a")).await.is(200, "ok");
    let probe = server.probe(&sid).await;
    let event = tokio::spawn(async move {
        let _ = connection.event().await;
    });
    support::until(|| server.engine.stats().at_work == 1).await;
    drop(probe);
    support::until(|| server.engine.stats().probes_failed == 1).await;
    event.abort();
}
