//! A client that joins no namespace within `connect_timeout` is closed.

use crate::support;

use socketio_server::{HandlerError, ServerConfig};
use support::{SOON, server_with, until};

fn config() -> ServerConfig {
    ServerConfig::default().connect_timeout(SOON)
}

#[tokio::test]
async fn a_client_that_sends_no_connect_is_closed() {
    let server = server_with(config()).await;
    let mut client = server.open().await;
    client.closed().await;
    until(|| server.io.engine().clients_count() == 0).await;
}

#[tokio::test]
async fn a_refused_client_is_closed() {
    let server = server_with(config()).await;
    server.io.of("/closed").use_(|| async { Err::<(), _>(HandlerError::public("no")) });
    let mut client = server.open().await;
    client.burst(&["40/closed,", "40/unknown,"]).await;
    assert_eq!(
        client.rest().await,
        [r#"44/closed,{"message":"no"}"#, r#"44/unknown,{"message":"Invalid namespace"}"#]
    );
}

#[tokio::test]
async fn a_client_with_an_undecided_middleware_is_closed() {
    let server = server_with(config()).await;
    server.io.of("/slow").use_(std::future::pending::<()>);
    let mut client = server.open().await;
    client.send("40/slow,").await;
    client.closed().await;
    until(|| server.io.of("/slow").sockets_count() == 0).await;
}

#[tokio::test]
async fn a_client_that_has_had_a_namespace_stays() {
    let server = server_with(config()).await;
    let mut other = server.open().await;
    let mut client = server.client().await;
    client.send("41").await;
    // The other client connected earlier, so its end shows that the timeout has passed.
    other.closed().await;
    let mut later = server.open().await;
    later.closed().await;
    client.connect("/").await;
}
