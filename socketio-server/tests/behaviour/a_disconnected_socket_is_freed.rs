//! Handlers of a socket may hold the socket. Both are freed after its disconnection.

use crate::support;

use std::sync::{Arc, Weak};

use socketio_server::Socket;
use support::{Client, Running, log, server, until};

/// Returns a server whose sockets have handlers that hold the socket and a token, and the tokens.
async fn holding() -> (Running, support::Log<Weak<()>>) {
    let server = server().await;
    let (sender, tokens) = log();
    server.io.on_connection(move |socket: Socket| {
        let token = Arc::new(());
        let _ = sender.send(Arc::downgrade(&token));
        let held = (socket.clone(), token.clone());
        socket.on("event", move || {
            drop(held.clone());
            async {}
        });
        let held = (socket.clone(), token);
        socket.on_disconnect(move || {
            let held = held.clone();
            // A handler added after the disconnection is dropped.
            held.0.on("event", {
                let held = held.clone();
                move || {
                    drop(held.clone());
                    async {}
                }
            });
            async move { tokio::task::yield_now().await }
        });
        async {}
    });
    (server, tokens)
}

async fn check(end: impl AsyncFnOnce(&Running, Client)) {
    let (server, mut tokens) = holding().await;
    let mut client = server.client().await;
    let token = tokens.next().await;
    client.send(r#"42["event"]"#).await;
    client.fence().await;
    assert!(token.upgrade().is_some());
    end(&server, client).await;
    until(|| token.upgrade().is_none()).await;
}

#[tokio::test]
async fn a_socket_closed_by_its_client_is_freed() {
    check(async |_, client| client.close().await).await;
}

#[tokio::test]
async fn a_socket_that_left_its_namespace_is_freed() {
    check(async |_, mut client| {
        client.send("41").await;
        // The connection stays open until the end of the test.
        std::mem::forget(client);
    })
    .await;
}

#[tokio::test]
async fn a_socket_disconnected_by_the_server_is_freed() {
    check(async |server, client| {
        server.io.close_connections().unwrap();
        drop(client);
    })
    .await;
}

/// The disconnection races with the end of the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_socket_disconnected_from_several_sides_is_freed() {
    let (server, mut tokens) = holding().await;
    for _ in 0..50 {
        let mut connected = support::sockets(&server.io.of("/"));
        let client = server.client().await;
        let socket = support::within(connected.recv()).await.unwrap();
        let token = tokens.next().await;
        let disconnecting = tokio::task::spawn_blocking(move || socket.disconnect());
        client.reset();
        support::within(disconnecting).await.unwrap();
        until(|| token.upgrade().is_none()).await;
    }
}
