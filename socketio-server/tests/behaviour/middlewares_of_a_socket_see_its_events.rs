//! Middlewares of a socket inspect, refuse and change its events, and keep their order.

use crate::support;

use std::sync::Arc;

use socketio_server::{Data, EventName, HandlerError, Rewrite, Socket};
use support::{Done, failures, log, server, until};
use tokio::sync::Notify;

#[tokio::test]
async fn a_middleware_refuses_an_event() {
    let server = server().await;
    let mut failures = failures(server.io.sockets());
    let (sender, mut log) = log();
    let after = sender.clone();
    server.io.on_connection(move |socket: Socket| {
        socket.use_(|EventName(event): EventName| async move {
            match event.as_str() {
                "public" => Err(HandlerError::public("not for you").with_data(&403)),
                "private" => Err("the database is down".into()),
                "panics" => panic!("contained"),
                _ => Ok(()),
            }
        });
        let after = after.clone();
        socket.use_(move |EventName(event): EventName| {
            let _ = after.send(format!("second {event}"));
            async {}
        });
        async {}
    });
    for event in ["public", "private", "panics"] {
        let sender = sender.clone();
        server.io.on(event, move || {
            let _ = sender.send("handler".to_owned());
            async {}
        });
    }
    let mut client = server.client().await;
    client.send(r#"421["public"]"#).await;
    client.expect(r#"431[{"error":"not for you","data":403}]"#).await;
    client.send(r#"422["private"]"#).await;
    client.expect(r#"432[{"error":"internal error"}]"#).await;
    client.send(r#"423["panics"]"#).await;
    client.expect(r#"433[{"error":"internal error"}]"#).await;
    client.send(r#"42["public"]"#).await;
    client.fence().await;
    assert_eq!(log.rest(), ["second fence"]);
    assert_eq!(
        failures.rest(),
        [
            "public Middleware: not for you",
            "private Middleware: the database is down",
            "panics Panic: contained",
            "public Middleware: not for you"
        ]
    );
}

#[tokio::test]
async fn a_middleware_changes_an_event() {
    let server = server().await;
    server.io.on_connection(|socket: Socket| async move {
        socket.use_(
            |EventName(event): EventName, data: Data<Vec<String>>, rewrite: Rewrite| async move {
                let Data(words) = data;
                if event == "shout" {
                    rewrite.set("say", &(words.join(" "), "!"))?;
                }
                Done::Ok(())
            },
        );
        socket.use_(|Data((text, mark)): Data<(String, String)>, rewrite: Rewrite| async move {
            rewrite.set("say", &format!("{text}{mark}"))?;
            Done::Ok(())
        });
    });
    server.io.on("say", |Data(text): Data<String>| async move { text });
    let mut client = server.client().await;
    client.send(r#"421["shout",["a","b"]]"#).await;
    client.expect(r#"431["a b!"]"#).await;
}

#[tokio::test]
async fn a_middleware_that_waits_keeps_the_order() {
    let server = server().await;
    let (sender, mut log) = log();
    let (go, asked) = (Arc::new(Notify::new()), sender.clone());
    let waits = go.clone();
    server.io.on_connection(move |socket: Socket| {
        let (waits, asked) = (waits.clone(), asked.clone());
        socket.use_(move |Data(n): Data<u32>| {
            let (waits, asked) = (waits.clone(), asked.clone());
            async move {
                let _ = asked.send(("asked", n));
                if n == 1 {
                    waits.notified().await;
                }
            }
        });
        async {}
    });
    server.io.on("event", move |Data(n): Data<u32>| {
        let _ = sender.send(("handled", n));
        async {}
    });
    let mut client = server.client().await;
    let mut other = server.client_in("/").await.0;
    client.burst(&[r#"42["event",1]"#, r#"42["event",2]"#, r#"42["event",3]"#]).await;
    assert_eq!(log.next().await, ("asked", 1));
    // Other sockets are not delayed.
    other.send(r#"42["event",9]"#).await;
    assert_eq!([log.next().await, log.next().await], [("asked", 9), ("handled", 9)]);
    assert_eq!(log.rest(), []);
    go.notify_one();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(log.next().await);
    }
    let each = [("handled", 1), ("asked", 2), ("handled", 2), ("asked", 3), ("handled", 3)];
    assert_eq!(seen, each);
}

#[tokio::test]
async fn a_middleware_that_waits_ends_with_its_socket() {
    let server = server().await;
    let (held, (sender, mut log)) = (Arc::new(()), log());
    let keeps = held.clone();
    server.io.on_connection(move |socket: Socket| {
        let (keeps, sender) = (keeps.clone(), sender.clone());
        socket.use_(move || {
            let (keeps, _) = (keeps.clone(), sender.send(()));
            async move {
                std::future::pending::<()>().await;
                drop(keeps);
            }
        });
        async {}
    });
    let before = Arc::strong_count(&held);
    let mut client = server.client().await;
    client.send(r#"42["event"]"#).await;
    log.next().await;
    assert!(Arc::strong_count(&held) > before);
    client.send("41").await;
    until(|| Arc::strong_count(&held) == before).await;
}
