//! A client that reads gets every ack it has requested, however many, and whatever its queue holds.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{FutureExt, SinkExt, StreamExt};
use socketio_server::{
    AckError, ClusterLimits, Data, EmitError, HandlerError, Recovery, ServerConfig, Socket,
};
use support::{
    Message, Running,
    nodes::{Held, cluster},
    server_with, within,
};

fn small() -> ServerConfig {
    ServerConfig::default().engine(|engine| engine.max_queued_packets(8))
}

fn asks(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|id| format!(r#"42{id}["ask",{id}]"#))
}

async fn server_that_acks(config: ServerConfig) -> support::Running {
    let server = server_with(config).await;
    server.io.on("ask", |Data(number): Data<u64>| async move { number });
    server.io.on("ask later", |Data(number): Data<u64>| async move {
        tokio::task::yield_now().await;
        number
    });
    server
}

#[tokio::test]
async fn a_polling_client_that_reads_gets_every_ack() {
    for (config, count) in [(small(), 500), (ServerConfig::default(), 20_000)] {
        let server = server_that_acks(config).await;
        let sid = server.polling_client().await;
        let body = asks(count).collect::<Vec<_>>().join("\u{1e}");
        let post = server.request("POST", &sid, &body);
        let get = async {
            let mut got = Vec::new();
            while got.len() < count {
                let (_, body) = server.request("GET", &sid, "").await;
                got.extend(body.split('\u{1e}').map(str::to_owned));
            }
            got
        };
        let (posted, got) = tokio::join!(post, get);
        assert_eq!(posted.0, 200);
        assert!(got.iter().enumerate().all(|(id, text)| *text == format!("43{id}[{id}]")));
    }
}

#[tokio::test]
async fn a_websocket_client_that_reads_gets_every_ack() {
    for config in [small(), ServerConfig::default()] {
        let server = server_that_acks(config).await;
        let (mut write, mut read) = server.client().await.0.split();
        let sent = tokio::spawn(async move {
            for ask in asks(30_000) {
                write.feed(Message::text(ask)).await.unwrap();
            }
            write.flush().await.unwrap();
            write
        });
        for id in 0..30_000 {
            let text = within(read.next()).await.unwrap().unwrap();
            assert_eq!(text, Message::text(format!("43{id}[{id}]")));
        }
        drop(within(sent).await.unwrap());
    }
}

/// Handlers that end at the same time produce more acks than the queue holds.
#[tokio::test]
async fn handlers_that_end_at_the_same_time_send_every_ack() {
    let server = server_that_acks(small()).await;
    let sid = server.polling_client().await;
    let body = (0..300).map(|id| format!(r#"42{id}["ask later",{id}]"#)).collect::<Vec<_>>();
    let body = body.join("\u{1e}");
    let post = server.request("POST", &sid, &body);
    let get = async {
        let mut got = 0;
        while got < 300 {
            let (_, body) = server.request("GET", &sid, "").await;
            got += body.split('\u{1e}').count();
        }
        got
    };
    let (posted, got) = tokio::join!(post, get);
    assert_eq!((posted.0, got), (200, 300));
}

/// Waiting events are started as the queue gets room, not all at once.
#[tokio::test]
async fn events_that_waited_for_a_handler_are_all_acked() {
    let server = server_with(small().max_in_flight(1)).await;
    let (open, gate) = tokio::sync::watch::channel(false);
    server.io.on("ask", move |_: Socket, Data(number): Data<u64>| {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            number
        }
    });
    let sid = server.polling_client().await;
    let body = asks(300).collect::<Vec<_>>().join("\u{1e}");
    assert_eq!(server.request("POST", &sid, &body).await.0, 200);
    support::until(|| server.io.stats().events.received == 300).await;
    open.send(true).unwrap();
    let mut got = Vec::new();
    while got.len() < 300 {
        let (_, body) = server.request("GET", &sid, "").await;
        got.extend(body.split('\u{1e}').map(str::to_owned));
    }
    assert!(got.iter().enumerate().all(|(id, text)| *text == format!("43{id}[{id}]")));
}

/// Sends all events in one POST, and reads until each of them has got its ack.
async fn acks_of(server: &Running, sid: &str, events: Vec<String>) -> Vec<String> {
    let body = events.join("\u{1e}");
    let post = server.request("POST", sid, &body);
    let get = async {
        let mut acks = Vec::new();
        while acks.len() < events.len() {
            let (_, body) = server.request("GET", sid, "").await;
            acks.extend(body.split('\u{1e}').filter(|it| it.starts_with("43")).map(str::to_owned));
        }
        acks
    };
    let (posted, acks) = tokio::join!(post, within(get));
    assert_eq!(posted.0, 200);
    acks
}

async fn fill_and_fail(socket: Socket) -> Result<(), HandlerError> {
    tokio::task::yield_now().await;
    loop {
        socket.emit("fill", &())?;
    }
}

async fn fill_and_panic(socket: Socket) {
    while socket.emit("fill", &()).is_ok() {}
    panic!("in a full queue");
}

#[tokio::test]
async fn the_failure_of_a_handler_is_acked_in_a_full_queue() {
    let server = server_with(small()).await;
    server.io.on("ask", fill_and_fail);
    server.io.on("panic", fill_and_panic);
    let sid = server.polling_client().await;
    let events = (0..100).map(|id| match id % 2 {
        0 => format!(r#"42{id}["ask"]"#),
        _ => format!(r#"42{id}["panic"]"#),
    });
    let mut acks = acks_of(&server, &sid, events.collect()).await;
    acks.sort();
    acks.dedup();
    assert_eq!(acks.len(), 100);
    assert!(acks.iter().all(|it| it.ends_with(r#"[{"error":"internal error"}]"#)), "{acks:?}");
}

#[tokio::test]
async fn an_event_that_a_middleware_refuses_is_acked_in_a_full_queue() {
    let server = server_with(small()).await;
    server.io.on_connection(|socket: Socket| async move {
        socket.use_(|socket: Socket| async move {
            while socket.emit("fill", &()).is_ok() {}
            Err::<(), _>(HandlerError::public("refused"))
        });
    });
    let sid = server.polling_client().await;
    let acks = acks_of(&server, &sid, asks(50).collect()).await;
    let expected = (0..50).map(|id| format!(r#"43{id}[{{"error":"refused"}}]"#));
    assert_eq!(acks, expected.collect::<Vec<_>>());
}

/// A server whose events are published before they are delivered.
async fn node(held: &mut Option<Held>, max_queued: usize, config: ServerConfig) -> Running {
    let cluster = cluster();
    let [first] = Held::of(&cluster);
    *held = Some(first);
    let limits = ClusterLimits::default().max_queued_messages(max_queued);
    let config = config.connection_state_recovery(Recovery::default());
    let server = server_with(config.adapter(cluster.adapter()).cluster_limits(limits)).await;
    within(server.io.joined()).await;
    server
}

#[tokio::test]
async fn an_ack_behind_published_events_that_fill_the_queue_is_sent() {
    let server = node(&mut None, 100, small()).await;
    server.io.on("value", |socket: Socket| async move {
        for n in 0..8 {
            socket.emit("event", &n)?;
        }
        Ok("value")
    });
    server.io.on("fail", |socket: Socket| async move {
        for n in 0..8 {
            socket.emit("event", &n)?;
        }
        Err::<(), _>(HandlerError::public("failure"))
    });
    server.io.on("ack", |socket: Socket, ack: socketio_server::Ack| async move {
        for n in 0..8 {
            socket.emit("event", &n)?;
        }
        ack.send("ack")?;
        ack.send("only the first is sent")?;
        Ok(())
    });
    let expected = [r#""value""#, r#"{"error":"failure"}"#, r#""ack""#];
    for (event, expected) in ["value", "fail", "ack"].into_iter().zip(expected) {
        let sid = server.polling_client().await;
        for id in 0..2 {
            let acks = acks_of(&server, &sid, vec![format!(r#"42{id}["{event}"]"#)]).await;
            assert_eq!(acks, [format!("43{id}[{expected}]")]);
        }
    }
}

#[tokio::test]
async fn acks_that_wait_for_published_events_are_not_refused() {
    let mut held = None;
    let server = node(&mut held, 4, ServerConfig::default()).await;
    let held = held.unwrap();
    let mut connected = support::sockets(&server.io.of("/"));
    server.io.on("value", |Data(number): Data<u64>| async move { number });
    server.io.on("fail", || async { Err::<(), _>(HandlerError::public("failure")) });
    let sid = server.polling_client().await;
    let socket = within(connected.recv()).await.unwrap();
    held.hold();
    socket.emit("first", &()).unwrap();
    support::until(|| held.len() == 1).await;
    let events = (0..20).map(|id| match id % 2 {
        0 => format!(r#"42{id}["value",{id}]"#),
        _ => format!(r#"42{id}["fail"]"#),
    });
    let release = async {
        support::until(|| server.io.stats().handlers.started >= 21).await;
        held.release();
    };
    let (acks, ()) = tokio::join!(acks_of(&server, &sid, events.collect()), release);
    let expected = (0..20).map(|id| match id % 2 {
        0 => format!("43{id}[{id}]"),
        _ => format!(r#"43{id}[{{"error":"failure"}}]"#),
    });
    assert_eq!(acks, expected.collect::<Vec<_>>());
}

/// With `max_queued_bytes` of 10 kB and acks of 4 kB, the second waiting ack exceeds the half.
#[tokio::test]
async fn no_event_starts_while_waiting_acks_take_half_of_the_queue() {
    let mut held = None;
    let config = ServerConfig::default().engine(|engine| engine.max_queued_bytes(10_000));
    let server = node(&mut held, 100, config).await;
    let held = held.unwrap();
    let mut connected = support::sockets(&server.io.of("/"));
    let started = Arc::new(AtomicUsize::new(0));
    let counter = started.clone();
    server.io.on("ask", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { "x".repeat(4000) }
    });
    let sid = server.polling_client().await;
    let socket = within(connected.recv()).await.unwrap();
    held.hold();
    socket.emit("first", &()).unwrap();
    support::until(|| held.len() == 1).await;
    let release = async {
        support::until(|| started.load(Ordering::SeqCst) == 2).await;
        // The server has the whole POST, and all turns that it wants.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(started.load(Ordering::SeqCst), 2);
        held.release();
    };
    let (acks, ()) = tokio::join!(acks_of(&server, &sid, asks(50).collect()), release);
    assert!(acks.iter().enumerate().all(|(id, ack)| ack.starts_with(&format!("43{id}["))));
}

#[tokio::test]
async fn an_explicit_ack_behind_published_events_is_refused_while_the_queue_is_full() {
    let server = node(&mut None, 100, small()).await;
    server.io.on("ask", |socket: Socket, ack: socketio_server::Ack| async move {
        for n in 0..8 {
            socket.emit("event", &n)?;
        }
        support::until(|| socket.conn().queued().packets == 8).await;
        assert!(matches!(ack.send("refused"), Err(socketio_server::EmitError::Full)));
        ack.send_when_ready("sent").await?;
        Ok(())
    });
    let sid = server.polling_client().await;
    let body = r#"420["ask"]"#;
    assert_eq!(server.request("POST", &sid, body).await.0, 200);
    support::until(|| server.io.stats().events.queue_full >= 1).await;
    let mut packets = Vec::new();
    while packets.len() < 9 {
        let (_, body) = server.request("GET", &sid, "").await;
        packets.extend(body.split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(packets.last().map(String::as_str), Some(r#"430["sent"]"#));
}

#[tokio::test]
async fn an_event_whose_turn_comes_in_a_full_queue_is_refused() {
    let mut held = None;
    let server = node(&mut held, 100, small()).await;
    let held = held.unwrap();
    let mut connected = support::sockets(&server.io.of("/"));
    let sid = server.polling_client().await;
    let socket = within(connected.recv()).await.unwrap();
    held.hold();
    for n in 0..8 {
        socket.emit("event", &n).unwrap();
    }
    support::until(|| held.len() == 8).await;
    let mut asked = Box::pin(socket.emit_with_ack::<()>("ask", &()));
    assert!((&mut asked).now_or_never().is_none());
    let mut reliable = Box::pin(socket.emit_reliably::<u8>("reliable", &()));
    assert!((&mut reliable).now_or_never().is_none());
    held.release();
    let result = within(asked).await;
    assert!(matches!(result, Err(AckError::Emit(EmitError::Full))), "{result:?}");
    // The reliable event is sent again once, when the queue has room.
    let client = async {
        let mut packets = Vec::new();
        while packets.len() < 9 {
            let (_, body) = server.request("GET", &sid, "").await;
            packets.extend(body.split('\u{1e}').map(str::to_owned));
        }
        assert_eq!(packets.last().map(String::as_str), Some(r#"422["reliable"]"#));
        assert_eq!(server.request("POST", &sid, "432[7]").await.0, 200);
    };
    let (result, ()) = within(async { tokio::join!(reliable, client) }).await;
    assert_eq!(result.unwrap(), 7);
}
