//! Every event is counted once, and the totals include sessions that have ended.

use crate::support;

use std::{future::ready, io, time::Duration};

use bytes::Bytes;
use engineio_server::{EngineConfig, Event, RefusalStats, SendError, Stats};
use futures_util::{
    StreamExt,
    stream::{once, pending},
};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use support::{Message, Server, frame, until, within};
use tokio::io::AsyncWriteExt;

fn refused(count: impl FnOnce(&mut RefusalStats)) -> RefusalStats {
    let mut refused = RefusalStats::default();
    count(&mut refused);
    refused
}

#[tokio::test]
async fn opened_and_closed_sessions_are_counted() {
    let config = EngineConfig::default().linger(Duration::from_millis(50));
    let mut server = Server::echo(config).await;
    assert_eq!(server.engine.stats(), Stats::default());

    let polling = server.open().await;
    let (mut websocket, _) = server.websocket().await;
    let stats = server.engine.stats();
    assert_eq!((stats.sessions.polling, stats.sessions.websocket), (1, 1));
    assert_eq!((stats.opened, stats.at_work, stats.closed.total()), (2, 2, 0));
    assert_eq!(stats.sessions.total() as usize, server.engine.clients_count());

    within(server.post(&polling, "1")).await.is(200, "ok");
    server.closed().await;
    websocket.send(Message::Close(None)).await;
    server.closed().await;
    until(|| server.engine.stats().at_work == 0).await;
    let stats = server.engine.stats();
    assert_eq!((stats.sessions.total(), stats.opened), (0, 2));
    assert_eq!((stats.closed.transport_close, stats.closed.total()), (2, 2));
    assert_eq!(stats.refused, RefusalStats::default());
}

#[tokio::test]
async fn upgrades_and_failed_probes_are_counted() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut probe = server.probe(&sid).await;
    probe.send("garbage").await;
    until(|| server.engine.stats().probes_failed == 1).await;
    let mut probe = server.probe(&sid).await;
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
    assert_eq!(server.engine.stats().sessions.polling, 1, "still");
    probe.send("5").await;
    assert!(matches!(server.event().await, Event::Upgraded(_)));
    let stats = server.engine.stats();
    assert_eq!((stats.upgraded, stats.probes_failed), (1, 1));
    assert_eq!((stats.sessions.polling, stats.sessions.websocket), (0, 1));
}

#[tokio::test]
async fn packets_and_bytes_are_counted() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    let before = server.engine.stats().traffic;
    assert_eq!((before.packets_in, before.packets_out), (0, 1), "the handshake");
    within(server.post(&sid, "4hello")).await.is(200, "ok");
    server.event().await;
    within(server.get(&sid)).await.is(200, "4hello");
    let after = server.engine.stats().traffic;
    assert_eq!((after.packets_in, after.bytes_in), (1, 6));
    assert_eq!((after.packets_out, after.bytes_out - before.bytes_out), (2, 6));

    within(server.post(&sid, "1")).await;
    server.closed().await;
    let end = server.engine.stats().traffic;
    assert_eq!((end.packets_in, end.packets_out), (2, 2), "kept when the session is gone");
}

#[tokio::test]
async fn queued_packets_and_bytes_are_reported() {
    let config = EngineConfig::default().max_queued_packets(2);
    let (server, mut connections) = Server::manual(config).await;
    server.open().await;
    let connection = within(connections.recv()).await.unwrap();
    connection.send("a").unwrap();
    connection.send("bc").unwrap();
    assert!(matches!(connection.send("d"), Err(SendError::Full(_))));
    let stats = server.engine.stats();
    assert_eq!((stats.queued_packets, stats.queued_bytes), (2, 2 + 3));
    assert_eq!(stats.refused, refused(|refused| refused.queue_full = 1));
}

#[tokio::test]
async fn bytes_of_incomplete_messages_are_reported() {
    let config = EngineConfig::default().body_timeout(Duration::from_millis(50));
    let mut server = Server::echo(config).await;
    let unread = |server: &Server| server.engine.stats().unread_bytes;
    let message = frame(0x81, &[b'4'; 1000]);
    let (beginning, rest) = message.split_at(600);
    let mut websocket = server.raw_websocket().await;
    websocket.write_all(beginning).await.unwrap();
    until(|| unread(&server) > 500).await;
    assert!(unread(&server) <= 600, "{}", unread(&server));
    websocket.write_all(rest).await.unwrap();
    assert!(matches!(server.event().await, Event::Message(_)));
    until(|| unread(&server) == 0).await;

    websocket.write_all(beginning).await.unwrap();
    until(|| unread(&server) > 500).await;
    drop(websocket);
    server.closed().await;
    until(|| unread(&server) == 0).await;

    let sid = server.open().await;
    let piece = once(ready(Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"4hello")))));
    let uri = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
    let body = StreamBody::new(piece.chain(pending()));
    let late = support::waiting(server.send(Request::post(uri).body(body).unwrap())).await;
    assert_eq!(unread(&server), 6);
    within(late).await.is(408, "");
    assert_eq!(unread(&server), 0);
}

#[tokio::test]
async fn bytes_that_a_client_does_not_read_are_reported() {
    let server = Server::echo(EngineConfig::default().max_queued_bytes(1 << 20)).await;
    let (mut websocket, sid) = server.websocket().await;
    let handle = server.engine.client(&sid).unwrap();
    let message = Bytes::from(vec![7; 64 * 1024]);
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 {
        match handle.send(message.clone()) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(_) => refused += 1,
        }
        tokio::task::yield_now().await;
    }
    until(|| server.engine.stats().unwritten_bytes > 0).await;
    let stats = server.engine.stats();
    assert!(stats.unwritten_bytes < 3 * 64 * 1024, "{stats:?}");
    for _ in 0..sent {
        assert!(matches!(within(websocket.next()).await, Some(Message::Binary(_))));
    }
    until(|| server.engine.stats().unwritten_bytes == 0).await;
    assert_eq!(server.engine.stats().queued_bytes, 0);
}

#[tokio::test]
async fn numbered_errors_are_counted() {
    let server = Server::echo(EngineConfig::default()).await;
    for (method, query) in [
        ("GET", "EIO=4&transport=x"),
        ("GET", "EIO=4&transport=polling&sid=x"),
        ("POST", "EIO=4&transport=polling"),
        ("GET", "EIO=4&transport=websocket"),
        ("GET", "EIO=3&transport=polling"),
    ] {
        assert_eq!(within(server.request(method, query, "")).await.status, 400);
    }
    let sid = server.open().await;
    let put = server.request("PUT", &format!("EIO=4&transport=polling&sid={sid}"), "");
    within(put).await.is(500, "");
    let expected = refused(|refused| {
        refused.unknown_transport = 1;
        refused.unknown_sid = 1;
        refused.bad_handshake_method = 1;
        refused.bad_request = 1;
        refused.unsupported_version = 1;
        refused.bad_method = 1;
    });
    assert_eq!(server.engine.stats().refused, expected);
}

#[tokio::test]
async fn refused_bodies_and_requests_of_a_session_are_counted() {
    let config = EngineConfig::default().max_payload(100).body_timeout(Duration::from_millis(50));
    let mut server = Server::echo(config).await;
    let never_ending = |sid: &str| {
        let uri = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");
        let body = StreamBody::new(pending::<io::Result<Frame<Bytes>>>());
        Request::post(uri).body(body).unwrap()
    };

    let sid = server.open().await;
    within(server.post(&sid, vec![b'4'; 101])).await.is(413, "");
    server.closed().await;

    let sid = server.open().await;
    let waiting = server.waiting_get(&sid).await;
    within(server.get(&sid)).await.is(400, "");
    within(waiting).await.is(200, "1");
    server.closed().await;

    let sid = server.open().await;
    let slow = support::waiting(server.send(never_ending(&sid))).await;
    within(server.post(&sid, "4")).await.is(400, "");
    within(slow).await;

    let sid = server.open().await;
    let slow = server.send(never_ending(&sid));
    within(slow).await.is(408, "");

    let sid = server.open().await;
    let binary = server.post_as("application/octet-stream", &sid, b"4");
    within(binary).await.is(400, "");

    let sid = server.open().await;
    assert_eq!(within(server.post(&sid, "garbage")).await.status, 400);

    let stats = server.engine.stats().refused;
    assert_eq!((stats.too_large, stats.concurrent_poll, stats.concurrent_push), (1, 1, 1));
    assert_eq!((stats.body_timeout, stats.binary_body, stats.malformed_packet), (1, 1, 1));
}

#[tokio::test]
async fn refused_websocket_messages_are_counted() {
    let config = EngineConfig::default().max_payload(100).max_fragments(2);
    let mut server = Server::echo(config).await;
    for bytes in [
        frame(0x81, &[b'4'; 101]),
        [frame(0x01, b"4"), frame(0x00, b"a"), frame(0x80, b"b")].concat(),
        frame(0xf1, b"4"),
        frame(0x81, b"4\xff"),
        frame(0x81, b"garbage"),
    ] {
        let mut stream = server.raw_websocket().await;
        stream.write_all(&bytes).await.unwrap();
        server.closed().await;
    }
    let expected = refused(|refused| {
        refused.too_large = 1;
        refused.too_many_fragments = 1;
        refused.malformed_frame = 2;
        refused.malformed_packet = 1;
    });
    let stats = server.engine.stats();
    assert_eq!(stats.refused, expected);
    assert_eq!((stats.closed.parse_error, stats.closed.transport_error), (1, 4));
}
