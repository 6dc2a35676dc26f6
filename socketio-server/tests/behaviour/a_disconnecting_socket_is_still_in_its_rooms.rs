//! `disconnecting` handlers see the rooms and `disconnect` handlers do not, whichever side ends the
//! socket.

use crate::support;

use socketio_server::{Context, Extract, HandlerError, Socket};
use support::{Client, Running, log, server, sockets};

/// The sorted rooms that a handler sees, and its event.
struct Seen(Vec<String>);

impl<C: Context> Extract<C> for Seen {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        let rooms = context.socket().rooms();
        let mut rooms: Vec<_> = rooms.iter().map(|room| room.as_str().to_owned()).collect();
        rooms.sort_by_key(String::len);
        Ok(Self(rooms))
    }
}

async fn check(end: impl AsyncFnOnce(&Running, &Socket, &mut Client)) {
    let server = server().await;
    let (sender, mut log) = log();
    let (before, after) = (sender.clone(), sender);
    let io = server.io.clone();
    server.io.on_disconnecting(move |socket: Socket, Seen(rooms): Seen| {
        let _ = before.send(rooms);
        // The other members can be informed.
        let told = socket.to("room").emit("left", socket.id());
        async move { Ok::<_, HandlerError>(told?) }
    });
    server.io.on_disconnect(move |Seen(rooms): Seen| {
        let _ = after.send(rooms);
        async {}
    });
    let mut connected = sockets(&server.io.of("/"));
    let mut other = server.client().await;
    connected.recv().await.unwrap().join("room").unwrap();
    let mut client = server.client().await;
    let socket = connected.recv().await.unwrap();
    socket.join(["room", "another"]).unwrap();

    end(&server, &socket, &mut client).await;
    assert_eq!(log.next().await, ["room", "another", socket.id()]);
    assert_eq!(log.next().await, [""; 0]);
    assert_eq!(socket.join("room").unwrap_err().to_string(), "the socket is disconnected");
    assert!(io.of("/").socket(socket.id()).is_none());
    other.expect(&format!(r#"42["left","{}"]"#, socket.id())).await;
    io.to("room").emit("hi", &()).unwrap();
    other.expect(r#"42["hi"]"#).await;
}

#[tokio::test]
async fn rooms_are_visible_when_the_client_leaves() {
    check(async |_, _, client| client.send("41").await).await;
}

#[tokio::test]
async fn rooms_are_visible_when_the_server_disconnects() {
    check(async |_, socket, _| socket.disconnect()).await;
}

#[tokio::test]
async fn rooms_are_visible_when_the_connection_ends() {
    check(async |_, _, client| drop(client.0.close(None).await)).await;
}

#[tokio::test]
async fn rooms_are_visible_after_a_protocol_violation() {
    check(async |_, _, client| client.send("4abc").await).await;
}
