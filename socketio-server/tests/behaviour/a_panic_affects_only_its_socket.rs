//! A panic in user code is reported, acked with an error if the client waits, and affects no other
//! socket.

use crate::support;

use serde::{Deserialize, Deserializer};
use socketio_server::{Data, Extract, HandlerError};
use support::{failures, server};

fn boom() {
    panic!("secret detail")
}

/// Panics when it is extracted.
struct Trap;

impl<C> Extract<C> for Trap {
    fn extract(_: &mut C) -> Result<Self, HandlerError> {
        boom();
        Ok(Self)
    }
}

/// Panics when it is decoded.
struct Mine;

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        boom();
        Ok(Self)
    }
}

#[tokio::test]
async fn panics_in_every_part_of_a_handler_are_contained() {
    let server = server().await;
    let io = &server.io;
    io.on("before the future", || {
        boom();
        async {}
    });
    io.on("at once", || async { boom() });
    io.on("later", || async {
        tokio::task::yield_now().await;
        boom();
    });
    io.on("extractor", |_: Trap| async {});
    io.on("decoder", |_: Data<Mine>| async {});
    let mut failures = failures(&io.of("/"));
    let mut other = server.client().await;
    let mut client = server.client().await;
    for event in ["before the future", "at once", "later", "extractor", "decoder"] {
        client.send(&format!(r#"425["{event}"]"#)).await;
        client.expect(r#"435[{"error":"internal error"}]"#).await;
        assert_eq!(failures.next().await, format!("{event} Panic: secret detail"));
    }
    client.fence().await;
    other.fence().await;
}

#[tokio::test]
async fn panics_in_lifecycle_handlers_are_contained() {
    let server = server().await;
    let io = &server.io;
    io.on_connection(|| async { boom() });
    io.on_disconnecting(|| async { boom() });
    io.on_disconnect(|| async { boom() });
    let mut failures = failures(&io.of("/"));
    let mut client = server.client().await;
    assert_eq!(failures.next().await, "connection Panic: secret detail");
    client.fence().await;
    client.send("41").await;
    assert_eq!(failures.next().await, "disconnecting Panic: secret detail");
    assert_eq!(failures.next().await, "disconnect Panic: secret detail");
    client.connect("/").await;
    client.fence().await;
}

#[tokio::test]
async fn a_panic_in_the_error_handler_is_contained() {
    let server = server().await;
    server.io.on("fails", || async { Err::<(), _>(HandlerError::public("no")) });
    server.io.on_error(|_, _| boom());
    let mut client = server.client().await;
    client.send(r#"425["fails"]"#).await;
    client.expect(r#"435[{"error":"no"}]"#).await;
    client.fence().await;
}

#[tokio::test]
async fn a_panic_in_an_errors_message_is_contained() {
    #[derive(Debug)]
    struct Unspeakable;
    impl std::fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            boom();
            Ok(())
        }
    }
    impl std::error::Error for Unspeakable {}

    let server = server().await;
    server.io.on("fails", || async { Err::<(), HandlerError>(Unspeakable.into()) });
    server.io.of("/closed").use_(|| async { Err::<(), HandlerError>(Unspeakable.into()) });
    let mut client = server.client().await;
    client.send(r#"425["fails"]"#).await;
    client.expect(r#"435[{"error":"internal error"}]"#).await;
    client.fence().await;
    client.send("40/closed,").await;
    client.expect(r#"44/closed,{"message":"internal error"}"#).await;
    client.fence().await;
}
