//! Where an engine keeps a log and the sessions, a client comes back to whichever node it reaches.

use crate::support;

use std::sync::Arc;

use serde_json::json;
use socketio_server::{
    Binary, ClusterAdapter, MemoryCluster, MemoryLog, Recovery, ServerConfig, Socket,
};
use support::{Client, Running, server_with, sockets, until, within};
use tokio::sync::mpsc::UnboundedReceiver;

fn clock() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

fn cluster() -> MemoryCluster {
    MemoryCluster::with_log(MemoryLog::default(), clock)
}

struct Node {
    server: Running,
    connected: UnboundedReceiver<Socket>,
}

impl Node {
    async fn with(adapter: Arc<dyn ClusterAdapter>, recovery: Recovery) -> Self {
        let config = ServerConfig::default().connection_state_recovery(recovery).adapter(adapter);
        let server = server_with(config).await;
        within(server.io.joined()).await;
        let connected = sockets(&server.io.of("/"));
        Self { server, connected }
    }

    async fn of(cluster: &MemoryCluster) -> Self {
        Self::with(cluster.adapter(), Recovery::default()).await
    }

    /// A new client, with its socket and its private id.
    async fn client(&mut self) -> (Client, Socket, String) {
        let mut client = self.server.open().await;
        client.send("40").await;
        let (_, pid) = client.recoverable().await;
        (client, self.socket().await, pid)
    }

    async fn socket(&mut self) -> Socket {
        within(self.connected.recv()).await.unwrap()
    }

    async fn lose(&self, client: Client) {
        client.reset();
        until(|| self.server.io.of("/").sockets_count() == 0).await;
    }

    async fn claims(&self, pid: &str, offset: &str) -> Client {
        let mut client = self.server.open().await;
        client.claim(pid, offset).await;
        client
    }
}

#[tokio::test]
async fn with_all_that_was_missed() {
    let cluster = cluster();
    let (mut one, mut two) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let (mut client, socket, pid) = one.client().await;
    socket.join(["in", "both"]).unwrap();
    socket.set_shared(&json!({ "name": "x" })).unwrap();
    socket.emit("got", &()).unwrap();
    let (event, offset) = client.recorded().await;
    assert_eq!(event, json!(["got"]));
    one.lose(client).await;
    for (n, io) in [&one.server.io, &two.server.io].into_iter().enumerate() {
        io.emit("all", &(n, "two")).unwrap();
        io.to("in").emit("in", &n).unwrap();
        io.to("elsewhere").emit("not", &n).unwrap();
        io.except("both").emit("not", &n).unwrap();
        io.to(["in", "both"]).emit("several", &n).unwrap();
        io.to(socket.id()).emit("own", &n).unwrap();
        io.volatile().emit("not", &n).unwrap();
        io.local().emit("not", &n).unwrap();
        io.emit("binary", &Binary(vec![1, 2].into())).unwrap();
        io.of("/other").emit("not", &n).unwrap();
        // Both nodes' events are in the log before this goes on.
        within(io.fetch_sockets()).await.unwrap();
    }
    // To the socket that is away.
    socket.emit("late", &1).unwrap();
    within(one.server.io.fetch_sockets()).await.unwrap();
    let mut client = two.claims(&pid, &offset).await;
    let mut last = offset;
    for n in [0, 1] {
        assert_eq!(client.recorded().await.0, json!(["all", n, "two"]));
        for name in ["in", "several", "own"] {
            assert_eq!(client.recorded().await.0, json!([name, n]));
        }
        assert_eq!(client.recorded().await.0[0], "binary");
        client.expect_binary(&[1, 2]).await;
    }
    let (late, at) = client.recorded().await;
    assert_eq!(late, json!(["late", 1]));
    assert_ne!(std::mem::replace(&mut last, at), last);
    assert_eq!(client.recoverable().await, (socket.id().to_owned(), pid.clone()));
    let back = two.socket().await;
    assert!(back.recovered());
    assert_eq!(back.shared::<serde_json::Value>().unwrap(), json!({ "name": "x" }));
    let mut rooms: Vec<_> = back.rooms().iter().map(ToString::to_string).collect();
    rooms.sort_unstable();
    let mut expected = [socket.id(), "both", "in"];
    expected.sort_unstable();
    assert_eq!(rooms, expected);
    // The handle of the node that lost it reaches it as well.
    socket.emit("from afar", &1).unwrap();
    back.emit("from here", &2).unwrap();
    let mut names = [client.recorded().await.0, client.recorded().await.0];
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, [json!(["from afar", 1]), json!(["from here", 2])]);
    client.fence().await;
}
