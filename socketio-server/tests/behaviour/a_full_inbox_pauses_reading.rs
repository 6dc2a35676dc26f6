//! Events that wait for a free handler are limited. Beyond `max_inbox_bytes` the server stops
//! reading from the client, but still detects its disconnection.

use crate::support;

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use socketio_server::{AckError, Binary, Data, HandlerError, Limits, ServerConfig, Socket};
use support::{Client, Log, Message, Running, disconnections, log, server_with, sockets, within};
use tokio::sync::Semaphore;

/// A server that handles one event at a time. Each handler takes a permit.
async fn busy(config: ServerConfig) -> (Running, Arc<Semaphore>, Log<String>) {
    let server = server_with(config.max_in_flight(1)).await;
    let permits = Arc::new(Semaphore::new(0));
    let handler_permits = permits.clone();
    let (sender, log) = log();
    server.io.on("work", move |Data(text): Data<Option<String>>| {
        let (sender, permits) = (sender.clone(), handler_permits.clone());
        async move {
            permits.acquire().await.unwrap().forget();
            let _ = sender.send(text.unwrap_or_default());
        }
    });
    (server, permits, log)
}

/// Requests an ack and sends it for the client. Returns `Timeout` if the server does not read.
async fn question(socket: &Socket, client: &mut Client, timeout: Duration) -> Result<(), AckError> {
    let asked = socket.clone();
    let answer =
        tokio::spawn(
            async move { asked.timeout(timeout).emit_with_ack::<()>("question", &()).await },
        );
    let text = client.text().await;
    let id = text.strip_prefix("42").unwrap().split_once('[').unwrap().0;
    client.send(&format!("43{id}[]")).await;
    within(answer).await.unwrap()
}

#[tokio::test]
async fn acks_are_read_while_events_wait() {
    let (server, permits, mut log) = busy(ServerConfig::default()).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    client.burst(&[r#"42["work","a"]"#, r#"42["work","b"]"#, r#"42["work","c"]"#]).await;
    question(&socket, &mut client, support::HANG).await.unwrap();
    permits.add_permits(3);
    assert_eq!([log.next().await, log.next().await, log.next().await], ["a", "b", "c"]);
}

#[tokio::test]
async fn a_full_inbox_stops_reading_and_nothing_is_lost() {
    let config = ServerConfig::default().max_inbox_bytes(5000);
    let (server, permits, mut log) = busy(config).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    let sent: Vec<_> = (0..10).map(|n| format!("{n}{}", "x".repeat(1000))).collect();
    for text in &sent {
        client.send(&format!(r#"42["work","{text}"]"#)).await;
    }
    let unread = question(&socket, &mut client, Duration::from_millis(300)).await;
    assert!(matches!(unread, Err(AckError::Timeout)), "{unread:?}");
    permits.add_permits(sent.len());
    for text in &sent {
        assert_eq!(log.next().await, *text);
    }
    question(&socket, &mut client, support::HANG).await.unwrap();
}

#[tokio::test]
async fn events_without_arguments_fill_the_inbox_too() {
    let config = ServerConfig::default().max_inbox_bytes(5000);
    let (server, permits, mut log) = busy(config).await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    client.send(r#"42["work","first"]"#).await;
    client.burst(&["42"; 500]).await;
    let unread = question(&socket, &mut client, Duration::from_millis(300)).await;
    assert!(matches!(unread, Err(AckError::Timeout)), "{unread:?}");
    permits.add_permits(1);
    assert_eq!(log.next().await, "first");
    question(&socket, &mut client, support::HANG).await.unwrap();
}

#[tokio::test]
async fn a_paused_client_that_answers_no_ping_times_out() {
    let (server, _permits, _log) = busy(support::short_heartbeat().max_inbox_bytes(0)).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    client.burst(&[r#"42["work","a"]"#, r#"42["work","b"]"#]).await;
    assert_eq!(reasons.next().await, "ping timeout");
}

#[tokio::test]
async fn a_disconnection_frees_the_inbox_for_other_namespaces() {
    let (server, _permits, _log) = busy(ServerConfig::default().max_inbox_bytes(0)).await;
    let other = server.io.of("/other");
    support::fence(&other);
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    client.connect("/other").await;
    let socket = within(connected.recv()).await.unwrap();
    client.burst(&[r#"42["work","a"]"#, r#"42["work","b"]"#]).await;
    let unread = question(&socket, &mut client, Duration::from_millis(300)).await;
    assert!(matches!(unread, Err(AckError::Timeout)), "{unread:?}");
    socket.disconnect();
    client.expect("41").await;
    client.send(r#"42/other,1["fence"]"#).await;
    client.expect("43/other,1[]").await;
}

#[tokio::test]
async fn a_paused_connection_that_ends_is_detected() {
    let (server, permits, mut log) = busy(ServerConfig::default().max_inbox_bytes(0)).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    client.burst(&[r#"42["work","a"]"#, r#"42["work","b"]"#]).await;
    let unread = question(&socket, &mut client, Duration::from_millis(300)).await;
    assert!(matches!(unread, Err(AckError::Timeout)), "{unread:?}");
    socket.conn().close(engineio_server::Unsent::Discard);
    assert_eq!(reasons.next().await, "forced close");
    permits.add_permits(2);
    assert_eq!(log.next().await, "a");
}

/// The handlers end with their socket, as documented. There are as many as may run, and more events
/// than the inbox holds.
#[tokio::test]
async fn a_paused_client_that_vanishes_leaves_nothing_behind() {
    let server = server_with(ServerConfig::default()).await;
    server.io.on("watch", |socket: Socket, _text: Data<String>| async move {
        socket.disconnected().await;
    });
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    let long = format!(r#"42["watch","{}"]"#, "x".repeat(400_000));
    for _ in 0..32 {
        client.send(r#"42["watch",""]"#).await;
    }
    for _ in 0..3 {
        client.send(&long).await;
    }
    support::until(|| server.io.stats().handlers.started == 32).await;
    drop(client);
    assert_eq!(reasons.next().await, "transport close");
    within(async {
        while server.io.engine().stats().at_work > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The client answers pings, and its handlers run much longer than the ping timeout.
#[tokio::test(start_paused = true)]
async fn a_client_with_slow_handlers_has_no_ping_timeout() {
    let config = ServerConfig::default().max_inbox_bytes(0).engine(|engine| {
        engine.ping_interval(Duration::from_millis(300)).ping_timeout(Duration::from_millis(200))
    });
    let server = server_with(config).await;
    let (sender, mut log) = log();
    server.io.on("work", move |Data(text): Data<String>| {
        let sender = sender.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let _ = sender.send(text.len());
        }
    });
    let mut reasons = disconnections(&server.io.of("/"));
    let mut client = server.client().await;
    let long = format!(r#"42["work","{}"]"#, "x".repeat(10_000));
    for _ in 0..100 {
        client.0.send(Message::text(&long)).await.unwrap();
    }
    let mut done = 0;
    while done < 100 {
        assert_eq!(within(client.0.next()).await.unwrap().unwrap(), Message::text("2"));
        client.send("3").await;
        done += log.rest().len();
    }
    assert!(reasons.rest().is_empty());
}

/// The handler passes the time in the same turn in which the packet arrives.
#[tokio::test(start_paused = true)]
async fn a_client_with_slow_handlers_has_its_whole_time_for_attachments() {
    let time = Duration::from_secs(2);
    let limits = Limits::default().unfinished_timeout(time);
    let server = server_with(ServerConfig::default().limits(limits)).await;
    server.io.on("slow", move |socket: Socket| async move {
        tokio::time::advance(2 * time).await;
        socket.emit("slept", &())?;
        Ok::<_, HandlerError>(())
    });
    server.io.on("bytes", |Data(bytes): Data<Binary>| bytes.0.len());
    let mut client = server.client().await;
    client.burst(&[r#"42["slow"]"#, r#"451-7["bytes",{"_placeholder":true,"num":0}]"#]).await;
    client.expect(r#"42["slept"]"#).await;
    client.send_binary(b"xyz").await;
    client.expect("437[3]").await;
}

/// One poll of the client's task starts at most one turn of events. Other tasks run in between.
#[tokio::test]
async fn waiting_events_start_one_turn_at_a_time() {
    let config = ServerConfig::default().max_in_flight(1).max_inbox_bytes(100_000_000);
    let server = server_with(config).await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    server.io.on("gate", move || {
        let gate = gate.clone();
        async move { gate.acquire_owned().await.unwrap().forget() }
    });
    let started = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = started.clone();
    server.io.on("count", move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async {}
    });
    let mut client = server.client().await;
    client.send(r#"42["gate"]"#).await;
    for _ in 0..50 {
        client.burst(&[r#"42["count"]"#; 100]).await;
    }
    support::until(|| server.io.stats().events.received == 5001).await;
    let count = || started.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(count(), 0);
    opened.add_permits(1);
    let (mut before, mut most) = (0, 0);
    support::until(|| {
        let now = count();
        most = most.max(now - before);
        before = now;
        now == 5000
    })
    .await;
    assert!(most <= 2 * 256, "{most} at once");
}
