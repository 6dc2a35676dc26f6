//! The server side of the Admin UI: it keeps no server alive, and passwords cost little.
#![cfg(all(feature = "admin", feature = "testing"))]

use std::{sync::Arc, time::Duration};

use serde_json::json;
use socketio_server::{
    Admin, AdminError, Server, ServerConfig, Socket,
    testing::{TestClient, TestError},
};

/// The hash of "secret" at cost 4.
fn hash() -> String {
    bcrypt::hash("secret", 4).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_server_with_the_admin_ui_is_freed_when_it_is_dropped() {
    let state = Arc::new(());
    let held = Arc::downgrade(&state);
    let io = Server::with_config(ServerConfig::default().state(state));
    Admin::without_authentication().development(true).instrument(&io).unwrap();
    io.on_connection(|socket: Socket| async move { socket.join("room").map_err(Into::into) });
    let client = TestClient::connect(&io, "/", &()).await.unwrap();
    drop(client);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(held.upgrade().is_some());
    drop(io);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(held.upgrade().is_none());
}

#[tokio::test]
async fn passwords_beyond_those_that_may_wait_are_refused_at_once() {
    let io = Server::new();
    Admin::with_password("admin", &hash()).unwrap().instrument(&io).unwrap();
    let attempts: Vec<_> = (0..200)
        .map(|_| {
            let io = io.clone();
            tokio::spawn(async move {
                let auth = json!({ "username": "admin", "password": "secret" });
                TestClient::connect(&io, "/admin", &auth).await.map(|_| ())
            })
        })
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(()) => accepted += 1,
            Err(TestError::Refused { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // With 200 attempts at once, at least the first 16 are checked.
    assert!(accepted >= 16 && refused > 0, "{accepted} accepted, {refused} refused");
}

#[tokio::test]
async fn a_hash_of_another_kind_is_refused() {
    let error = Admin::with_password("admin", "secret").unwrap_err();
    assert_eq!(error, AdminError::InvalidHash);
}

#[test]
fn the_admin_ui_needs_a_runtime() {
    let error = Admin::without_authentication().instrument(&Server::new()).unwrap_err();
    assert_eq!(error, AdminError::NoRuntime);
}
