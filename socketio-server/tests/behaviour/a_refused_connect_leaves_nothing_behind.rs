//! A refused socket is neither in a room nor in the namespace.

use crate::support;

use socketio_server::{HandlerError, Socket};
use support::{Done, disconnections, log, server};

#[tokio::test]
async fn a_refused_socket_is_in_no_room_and_in_no_count() {
    let server = server().await;
    let closed = server.io.of("/closed");
    let (sender, mut log) = log();
    closed.use_(move |socket: Socket| {
        let sender = sender.clone();
        async move {
            socket.join(["a", "b"])?;
            let _ = sender.send(socket);
            Done::Err(HandlerError::public("no"))
        }
    });
    let mut reasons = disconnections(&closed);
    let mut client = server.client().await;
    client.send("40/closed,").await;
    client.expect(r#"44/closed,{"message":"no"}"#).await;

    let socket = log.next().await;
    assert_eq!(closed.sockets_count(), 0);
    assert!(closed.socket(socket.id()).is_none());
    assert!(socket.rooms().is_empty());
    assert!(socket.join("c").is_err());
    assert!(socket.emit("x", &()).is_err());
    closed.to(["a", "b"]).emit("x", &()).unwrap();
    client.fence().await;
    drop(client);
    assert!(reasons.rest().is_empty(), "it was never connected");
}
