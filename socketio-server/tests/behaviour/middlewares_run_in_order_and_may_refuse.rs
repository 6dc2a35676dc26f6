//! Middlewares run one after another before the CONNECT response. An error refuses the client with
//! a message and data.

use crate::support;

use std::sync::Arc;

use serde_json::json;
use socketio_server::{Auth, HandlerError, Socket};
use support::{Done, failures, log, server, sockets, within};
use tokio::sync::Notify;

#[tokio::test]
async fn middlewares_run_in_order_before_the_connection_handler() {
    let server = server().await;
    let (sender, mut log) = log();
    for name in ["first", "second"] {
        let sender = sender.clone();
        server.io.use_(move |socket: Socket| {
            let sender = sender.clone();
            async move {
                tokio::task::yield_now().await;
                assert!(!socket.is_connected());
                let _ = sender.send(name);
            }
        });
    }
    server.io.on_connection(move |socket: Socket| {
        let _ = sender.send(if socket.is_connected() { "connected" } else { "not connected" });
        async {}
    });
    let _client = server.client().await;
    assert_eq!(
        [log.next().await, log.next().await, log.next().await],
        ["first", "second", "connected"]
    );
}

#[tokio::test]
async fn an_error_refuses_the_client_and_skips_later_middlewares() {
    let server = server().await;
    let (sender, mut log) = log();
    let refuse = |data: Option<serde_json::Value>| {
        let error = HandlerError::public("not authorized");
        Err::<(), _>(match data {
            Some(data) => error.with_data(&data),
            None => error,
        })
    };
    let plain = server.io.of("/plain");
    plain.use_(move || async move { refuse(None) });
    plain.use_(move || {
        let _ = sender.send("second");
        async {}
    });
    server.io.of("/data").use_(move || async move { refuse(Some(json!({ "code": 401 }))) });
    server.io.of("/any").use_(|| async { Done::Err("x".parse::<u8>().unwrap_err().into()) });

    let plain = failures(&plain);
    let mut failures = failures(&server.io.of("/any"));
    let mut client = server.open().await;
    client.send("40/plain,").await;
    client.expect(r#"44/plain,{"message":"not authorized"}"#).await;
    client.send("40/data,").await;
    client.expect(r#"44/data,{"message":"not authorized","data":{"code":401}}"#).await;
    client.send("40/any,").await;
    client.expect(r#"44/any,{"message":"internal error"}"#).await;
    assert_eq!(failures.next().await, "connect Middleware: invalid digit found in string");
    client.connect("/").await;
    assert!(log.rest().is_empty(), "the second one ran");
    assert!({ plain }.rest().is_empty(), "a refusal is no failure");
}

#[tokio::test]
async fn a_middleware_that_cannot_decode_the_auth_refuses() {
    let server = server().await;
    server.io.use_(|Auth(token): Auth<String>| async move {
        if token == "secret" { Ok(()) } else { Err(HandlerError::public("wrong")) }
    });
    let mut client = server.open().await;
    client.send("40").await;
    assert!(client.text().await.starts_with(r#"44{"message":""#));
}

#[tokio::test]
async fn a_middleware_that_panics_refuses_only_its_client() {
    let server = server().await;
    let panics = server.io.of("/panics");
    fn boom() {
        panic!("secret detail")
    }
    panics.use_(|| async { boom() });
    let mut other = server.client().await;
    let mut client = server.client().await;
    client.send("40/panics,").await;
    client.expect(r#"44/panics,{"message":"internal error"}"#).await;
    client.fence().await;
    other.fence().await;
}

#[tokio::test]
async fn a_middleware_may_join_rooms_but_broadcasts_follow_connect() {
    let server = server().await;
    let (io, go) = (server.io.clone(), Arc::new(Notify::new()));
    let gone_on = go.clone();
    server.io.use_(move |socket: Socket| {
        let (io, go) = (io.clone(), go.clone());
        async move {
            socket.join("early")?;
            io.emit("too early", &())?;
            io.to("early").emit("too early", &())?;
            go.notified().await;
            Done::Ok(())
        }
    });
    let mut client = server.open().await;
    client.send("40").await;
    gone_on.notify_one();
    client.connected("/").await;
    server.io.to("early").emit("now", &()).unwrap();
    client.expect(r#"42["now"]"#).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_decision_is_removed() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.use_(move |socket: Socket| {
        let _ = sender.send(socket);
        std::future::pending::<()>()
    });
    let mut connected = sockets(&server.io.of("/"));

    // The client withdraws its CONNECT and connects again.
    let mut client = server.open().await;
    client.burst(&["40", "41", "40"]).await;
    let (first, second) = (log.next().await, log.next().await);
    within(first.disconnected()).await;
    assert_eq!(server.io.of("/").sockets_count(), 1);
    // The client leaves.
    client.reset();
    within(second.disconnected()).await;
    support::until(|| server.io.of("/").sockets_count() == 0).await;
    assert!(connected.try_recv().is_err());
}

#[tokio::test]
async fn a_middleware_that_disconnects_the_socket_refuses_the_client() {
    let server = server().await;
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    server.io.of("/at-once").use_(|socket: Socket| async move { socket.disconnect() });
    server.io.of("/later").use_(move |socket: Socket| {
        let waits = waits.clone();
        async move {
            waits.notified().await;
            socket.disconnect();
            std::future::pending::<()>().await;
        }
    });
    let mut connected = sockets(&server.io.of("/at-once"));
    let mut client = server.client().await;
    client.send("40/at-once,").await;
    client.expect(r#"44/at-once,{"message":"socket has been disconnected"}"#).await;
    client.send("40/later,").await;
    client.fence().await;
    go.notify_one();
    client.expect(r#"44/later,{"message":"socket has been disconnected"}"#).await;
    assert!(connected.try_recv().is_err());
    assert_eq!(
        server.io.of("/at-once").sockets_count() + server.io.of("/later").sockets_count(),
        0
    );
}

#[tokio::test]
async fn a_middleware_can_wait_for_room_in_the_queue() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.use_(move |socket: Socket| {
        let sender = sender.clone();
        async move {
            let emitted = socket.emit("early", &()).is_ok();
            let _ = sender.send((emitted, socket.ready().await.is_ok()));
        }
    });
    server.open().await.send("40").await;
    assert_eq!(log.next().await, (true, true));
}
