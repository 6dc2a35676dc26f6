//! A recovered client skips the middlewares by default. Otherwise it gets nothing before they
//! accept it.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use serde_json::json;
use socketio_server::{HandlerError, Recovery, ServerConfig, Socket};
use support::{Running, server_with, until};

/// Returns a server, the number of runs of its middleware, and whether the middleware refuses
/// recovered clients.
async fn guarded(recovery: Recovery) -> (Running, Arc<AtomicU32>, Arc<AtomicBool>) {
    let server = server_with(ServerConfig::default().connection_state_recovery(recovery)).await;
    let (runs, refuse) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, no) = (runs.clone(), refuse.clone());
    server.io.use_(move |socket: Socket| {
        count.fetch_add(1, Ordering::Relaxed);
        let refused = no.load(Ordering::Relaxed) && socket.recovered();
        async move {
            tokio::task::yield_now().await;
            socket.join("by the middleware")?;
            if refused { Err(HandlerError::public("no")) } else { Ok(()) }
        }
    });
    (server, runs, refuse)
}

/// Connects a client that receives an event, is lost, and misses another one. Returns its private
/// id and offset.
async fn lost(server: &Running) -> (String, String) {
    let (client, _, pid, offset) = server.client_with_offset().await;
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    server.io.to("by the middleware").emit("missed", &1).unwrap();
    (pid, offset)
}

#[tokio::test]
async fn a_recovered_client_skips_the_middlewares_by_default() {
    let (server, runs, _) = guarded(Recovery::default()).await;
    let (pid, offset) = lost(&server).await;
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["missed", 1]));
    assert_eq!(client.recoverable().await.1, pid);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_recovered_client_passes_the_middlewares_if_configured() {
    let (server, runs, refuse) = guarded(Recovery::default().skip_middlewares(false)).await;
    let (pid, offset) = lost(&server).await;
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["missed", 1]));
    assert_eq!(client.recoverable().await.1, pid);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;

    refuse.store(true, Ordering::Relaxed);
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    client.expect(r#"44{"message":"no"}"#).await;
    assert_eq!(server.io.of("/").sockets_count(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_middlewares_may_recover_later() {
    let server = server_with(
        ServerConfig::default()
            .connection_state_recovery(Recovery::default().skip_middlewares(false)),
    )
    .await;
    let open = Arc::new(AtomicBool::new(true));
    let gate = open.clone();
    server.io.use_(move |socket: Socket| {
        let gate = gate.clone();
        async move {
            let _ = socket.join("by the middleware");
            while !gate.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
        }
    });
    let (pid, offset) = lost(&server).await;
    open.store(false, Ordering::Relaxed);
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    until(|| server.io.of("/").sockets_count() == 1).await;
    server.io.emit("missed", &2).unwrap();
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    server.io.emit("missed", &3).unwrap();
    open.store(true, Ordering::Relaxed);
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    for n in 1..=3 {
        assert_eq!(client.recorded().await.0, json!(["missed", n]));
    }
    assert_eq!(client.recoverable().await.1, pid);
}
