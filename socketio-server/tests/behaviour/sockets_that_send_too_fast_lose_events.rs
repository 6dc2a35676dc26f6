//! Events beyond the rate limit are dropped, reported and acked with an error, or their socket is
//! disconnected.

use crate::support;

use socketio_server::{Excess, Rate, RateLimit, ServerConfig};
use support::{disconnections, failures, server_with};

#[tokio::test]
async fn events_beyond_the_rate_are_dropped() {
    let limit = RateLimit::default().events(Rate::per_second(0).burst(2));
    let server = server_with(ServerConfig::default().rate_limit(limit)).await;
    let mut failures = failures(server.io.sockets());
    server.io.on("event", || async { "handled" });
    let mut client = server.client().await;
    let mut other = server.client().await;
    client.burst(&[r#"421["event"]"#, r#"422["event"]"#, r#"423["event"]"#]).await;
    client.expect(r#"431["handled"]"#).await;
    client.expect(r#"432["handled"]"#).await;
    client.expect(r#"433[{"error":"rate limit exceeded"}]"#).await;
    assert_eq!(failures.next().await, "event RateLimit: rate limit exceeded");
    // Each socket has its own budget.
    other.fence().await;
}

#[tokio::test]
async fn bytes_are_limited_too() {
    let limit = RateLimit::default().bytes(Rate::per_second(0).burst(1000));
    let server = server_with(ServerConfig::default().rate_limit(limit)).await;
    server.io.on("event", || async { "handled" });
    let mut client = server.client().await;
    client.send(&format!(r#"421["event","{}"]"#, "x".repeat(1000))).await;
    client.expect(r#"431[{"error":"rate limit exceeded"}]"#).await;
    // Attachments count. A refused event takes no tokens.
    client.send(r#"451-2["event",{"_placeholder":true,"num":0}]"#).await;
    client.send_binary(&[0; 1000]).await;
    client.expect(r#"432[{"error":"rate limit exceeded"}]"#).await;
    client.send(&format!(r#"423["event","{}"]"#, "x".repeat(900))).await;
    client.expect(r#"433["handled"]"#).await;
}

#[tokio::test]
async fn a_socket_in_excess_is_disconnected_if_configured() {
    let limit =
        RateLimit::default().events(Rate::per_second(0).burst(1)).excess(Excess::Disconnect);
    let server = server_with(ServerConfig::default().rate_limit(limit)).await;
    let mut reasons = disconnections(server.io.sockets());
    let mut client = server.client().await;
    client.burst(&[r#"42["event"]"#, r#"42["event"]"#, r#"42["event"]"#]).await;
    client.expect("41").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
}
