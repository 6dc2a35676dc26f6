//! `on("connection")`, `on("disconnecting")` and `on("disconnect")` add lifecycle handlers, as in
//! Node. No client can trigger them with an event of that name.

use crate::support;

use socketio_server::{Data, EventName, Socket};
use support::{failures, log, server};

#[tokio::test]
async fn lifecycle_handlers_ignore_client_events_of_their_name() {
    let server = server().await;
    let (sender, mut log) = log();
    let said = sender.clone();
    server.io.on("connection", move |socket: Socket, Data(auth): Data<serde_json::Value>| {
        let _ = said.send(format!("connection with {auth}"));
        let said = said.clone();
        socket.on("disconnect", move |Data(reason): Data<String>| {
            let _ = said.send(format!("own disconnect: {reason}"));
        });
    });
    for event in ["disconnecting", "disconnect"] {
        let said = sender.clone();
        server.io.on(event, move |EventName(event): EventName, Data(reason): Data<String>| {
            let _ = said.send(format!("{event}: {reason}"));
        });
    }
    let mut client = server.client().await;
    assert_eq!(log.next().await, "connection with {}");
    client.send(r#"42["connection"]"#).await;
    client.fence().await;
    assert!(log.rest().is_empty());
    client.send("41").await;
    let reason = "client namespace disconnect";
    assert_eq!(log.next().await, format!("disconnecting: {reason}"));
    assert_eq!(log.next().await, format!("disconnect: {reason}"));
    assert_eq!(log.next().await, format!("own disconnect: {reason}"));
}

/// In Node, an event of this name without a listener once ended the process.
#[tokio::test]
async fn an_event_named_error_is_an_ordinary_event() {
    let server = server().await;
    let mut failures = failures(server.io.sockets());
    let mut client = server.client().await;
    client.burst(&[r#"42["error"]"#, r#"42["error",{"message":"x"}]"#]).await;
    client.fence().await;
    server.io.on("error", |Data(n): Data<u32>| async move { n });
    client.send(r#"421["error",7]"#).await;
    client.expect("431[7]").await;
    assert!(failures.rest().is_empty(), "the error handler ran");
}
