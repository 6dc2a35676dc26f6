//! A client that reads gets an answer to everything it asked, however much that is, and whatever the queue holds.

use crate::support;

use futures_util::{SinkExt, StreamExt};
use socketio_server::{Data, ServerConfig, Socket};
use support::{Message, server_with, within};

fn small() -> ServerConfig {
    ServerConfig::default().engine(|engine| engine.max_queued_packets(8))
}

fn asks(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|id| format!(r#"42{id}["ask",{id}]"#))
}

async fn answering(config: ServerConfig) -> support::Running {
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
        let server = answering(config).await;
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
        let server = answering(config).await;
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

/// Handlers that end at the same time have more answers than the queue holds.
#[tokio::test]
async fn handlers_that_end_at_the_same_time_send_every_ack() {
    let server = answering(small()).await;
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

/// Events that waited are started as the queue gets room, not all at once.
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
