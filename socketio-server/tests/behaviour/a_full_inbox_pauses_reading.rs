//! Events that wait for a free handler are bounded: beyond `max_inbox_bytes` nothing is read from their client, whose
//! heartbeat is suspended meanwhile.

use crate::support;

use std::{sync::Arc, time::Duration};

use socketio_server::{AckError, Data, ServerConfig, Socket};
use support::{Client, Log, Running, disconnections, log, server_with, sockets, within};
use tokio::sync::Semaphore;

/// A server where one event at a time is handled, for which it takes a permit.
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

/// Asks the client and answers for it: `Timeout` where the server does not read.
async fn question(
    socket: &Socket,
    client: &mut Client,
    patience: Duration,
) -> Result<(), AckError> {
    let asked = socket.clone();
    let answer =
        tokio::spawn(
            async move { asked.timeout(patience).emit_with_ack::<()>("question", &()).await },
        );
    // The client answers pings for as long as it waits.
    let text = loop {
        match client.text().await.as_str() {
            "2" => client.send("3").await,
            text => break text.to_owned(),
        }
    };
    let id = text.strip_prefix("42").unwrap().split_once('[').unwrap().0;
    client.send(&format!("43{id}[]")).await;
    within(answer).await.unwrap()
}

#[tokio::test]
async fn acknowledgements_are_read_while_events_wait() {
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
async fn events_without_arguments_fill_it_as_well() {
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
async fn the_heartbeat_holds_while_nothing_is_read() {
    let ping_timeout = Duration::from_millis(700);
    let config = ServerConfig::default().max_inbox_bytes(0).engine(|engine| {
        engine.ping_interval(Duration::from_millis(50)).ping_timeout(ping_timeout)
    });
    let (server, permits, mut log) = busy(config).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    client.burst(&[r#"42["work","a"]"#, r#"42["work","b"]"#]).await;
    // Nothing the client says is read for longer than a silent client would live.
    let unread = question(&socket, &mut client, ping_timeout * 2).await;
    assert!(matches!(unread, Err(AckError::Timeout)), "{unread:?}");
    permits.add_permits(2);
    assert_eq!([log.next().await, log.next().await], ["a", "b"]);
    question(&socket, &mut client, support::HANG).await.unwrap();
    assert!(reasons.rest().is_empty());
}

#[tokio::test]
async fn the_end_of_the_socket_that_filled_it_lets_the_others_go_on() {
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
async fn a_connection_that_ends_meanwhile_is_noticed() {
    let (server, permits, mut log) = busy(ServerConfig::default().max_inbox_bytes(0)).await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    client.burst(&[r#"42["work","a"]"#, r#"42["work","b"]"#]).await;
    let unread = question(&socket, &mut client, Duration::from_millis(300)).await;
    assert!(matches!(unread, Err(AckError::Timeout)), "{unread:?}");
    socket.conn().close(true);
    assert_eq!(reasons.next().await, "forced close");
    permits.add_permits(2);
    assert_eq!(log.next().await, "a");
}
