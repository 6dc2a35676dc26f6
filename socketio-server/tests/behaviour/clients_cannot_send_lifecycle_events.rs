//! `on("connection")`, `on("disconnecting")` and `on("disconnect")` add lifecycle handlers, as in
//! Node. No client can trigger them with an event of that name.

use crate::support;

use socketio_server::{DisconnectReason, Socket};
use support::{log, server};

#[tokio::test]
async fn lifecycle_handlers_ignore_client_events_of_their_name() {
    let server = server().await;
    let (sender, mut log) = log();
    let said = sender.clone();
    server.io.on("connection", move |socket: Socket| {
        let _ = said.send("connection".to_owned());
        let said = said.clone();
        socket.on("disconnect", move |reason: DisconnectReason| {
            let _ = said.send(format!("own disconnect: {reason}"));
            async {}
        });
        async {}
    });
    for event in ["disconnecting", "disconnect"] {
        let said = sender.clone();
        server.io.on(event, move |reason: DisconnectReason| {
            let _ = said.send(format!("{event}: {reason}"));
            async {}
        });
    }
    let mut client = server.client().await;
    assert_eq!(log.next().await, "connection");
    client.send(r#"42["connection"]"#).await;
    client.fence().await;
    assert!(log.rest().is_empty());
    client.send("41").await;
    let reason = "client namespace disconnect";
    assert_eq!(log.next().await, format!("disconnecting: {reason}"));
    assert_eq!(log.next().await, format!("disconnect: {reason}"));
    assert_eq!(log.next().await, format!("own disconnect: {reason}"));
}
