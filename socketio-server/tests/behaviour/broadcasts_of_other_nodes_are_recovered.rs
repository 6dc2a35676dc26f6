//! A recovered client also gets the events that other nodes broadcast while it was disconnected.

use crate::support;

use std::time::Duration;

use serde_json::json;
use socketio_server::{Args, Binary, MemoryCluster, Recovery, ServerConfig, Socket};
use support::{Client, Running, log, server_with, sockets, until, within};
use tokio::sync::mpsc::UnboundedReceiver;

/// Two nodes of a cluster. The clients connect to the first.
struct Nodes {
    here: Running,
    other: Running,
    connected: UnboundedReceiver<Socket>,
}

async fn nodes(cluster: &MemoryCluster, recovery: Recovery) -> Nodes {
    let config = || {
        ServerConfig::default()
            .connection_state_recovery(recovery.clone())
            .adapter(cluster.adapter())
    };
    let (here, other) = (server_with(config()).await, server_with(config()).await);
    within(here.io.joined()).await;
    within(other.io.joined()).await;
    let connected = sockets(&here.io.of("/"));
    Nodes { here, other, connected }
}

impl Nodes {
    /// Returns a client in the room `in`, its id, its private id and the offset of its last event.
    async fn client(&mut self) -> (Client, String, String, String) {
        let mut client = self.here.open().await;
        client.send("40").await;
        let (sid, pid) = client.recoverable().await;
        within(self.connected.recv()).await.unwrap().join("in").unwrap();
        self.here.io.to(&*sid).emit("got", &()).unwrap();
        let offset = client.recorded().await.1;
        (client, sid, pid, offset)
    }

    async fn lose(&self, client: Client) {
        client.reset();
        until(|| self.here.io.of("/").sockets_count() == 0).await;
    }

    /// Waits until all events of the other node have arrived. The other node's request arrives
    /// after them.
    async fn settle(&self) {
        within(self.other.io.fetch_sockets()).await.unwrap();
    }

    async fn comes_back(&self, pid: &str, offset: &str) -> Client {
        let mut client = self.here.open().await;
        client.claim(pid, offset).await;
        client
    }
}

#[tokio::test]
async fn broadcasts_of_other_nodes_are_recovered_once_and_in_order() {
    let mut nodes = nodes(&MemoryCluster::new(), Recovery::default()).await;
    let (client, sid, pid, offset) = nodes.client().await;
    nodes.lose(client).await;
    let other = &nodes.other.io;
    other.emit("all", &(1, "two")).unwrap();
    other.to("in").emit("in", &1).unwrap();
    other.to("elsewhere").emit("not", &1).unwrap();
    other.except("in").emit("not", &1).unwrap();
    other.except(&*sid).emit("not", &1).unwrap();
    other.to(["in", "elsewhere"]).emit("several", &1).unwrap();
    other.to(&*sid).emit("own", &1).unwrap();
    other.volatile().emit("not", &1).unwrap();
    other.compress(false).emit("binary", &Binary(vec![1, 2].into())).unwrap();
    other.local().emit("not", &1).unwrap();
    nodes.settle().await;
    nodes.here.io.to("in").emit("here", &1).unwrap();

    let mut client = nodes.comes_back(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["all", 1, "two"]));
    for name in ["in", "several", "own"] {
        assert_eq!(client.recorded().await.0, json!([name, 1]));
    }
    assert_eq!(client.recorded().await.0[0], "binary");
    client.expect_binary(&[1, 2]).await;
    assert_eq!(client.recorded().await.0, json!(["here", 1]));
    assert_eq!(client.recoverable().await, (sid.clone(), pid.clone()));
    // The next recovery starts at an event of the other node.
    nodes.other.io.to("in").emit("live", &1).unwrap();
    let (live, offset) = client.recorded().await;
    assert_eq!(live, json!(["live", 1]));
    nodes.lose(client).await;
    nodes.other.io.to("in").emit("again", &1).unwrap();
    nodes.settle().await;
    let mut client = nodes.comes_back(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["again", 1]));
    assert_eq!(client.recoverable().await, (sid, pid));
}

#[tokio::test]
async fn a_session_is_recovered_while_another_node_keeps_emitting() {
    let mut nodes = nodes(&MemoryCluster::new(), Recovery::default()).await;
    let (mut client, _, pid, mut offset) = nodes.client().await;
    let other = nodes.other.io.clone();
    let sender = tokio::spawn(async move {
        for n in 0_u32.. {
            other.to("in").emit("n", &n).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (mut next, mut event) = (0_u32, json!(null));
    for round in 0..10 {
        for _ in 0..10 + round {
            (event, offset) = client.recorded().await;
            assert_eq!(event, json!(["n", next]));
            next += 1;
        }
        nodes.lose(client).await;
        client = nodes.comes_back(&pid, &offset).await;
        loop {
            let text = client.text().await;
            if text.starts_with("40") {
                assert!(text.contains(&pid), "{text} after {event}");
                break;
            }
            let (_, n, at): (String, u32, String) = serde_json::from_str(&text[2..]).unwrap();
            assert_eq!(n, next);
            (next, offset) = (next + 1, at);
        }
    }
    sender.abort();
}

#[tokio::test]
async fn a_session_is_recovered_with_a_channel_per_room() {
    let cluster = MemoryCluster::with_room_channels();
    let recovery = Recovery::default().max_disconnection_duration(Duration::from_secs(3));
    let mut nodes = nodes(&cluster, recovery).await;
    let (client, sid, pid, offset) = nodes.client().await;
    until(|| cluster.reaches(0, "/", "in") && cluster.reaches(0, "/", &sid)).await;
    nodes.lose(client).await;
    // A client that connects and leaves wakes the task that manages room channels.
    let mut visitor = nodes.here.open().await;
    visitor.send("40").await;
    let (visitor_sid, _) = visitor.recoverable().await;
    until(|| cluster.reaches(0, "/", &visitor_sid)).await;
    visitor.send("41").await;
    until(|| !cluster.reaches(0, "/", &visitor_sid)).await;
    nodes.other.io.to("in").emit("in", &1).unwrap();
    nodes.other.io.to(&*sid).emit("own", &1).unwrap();
    nodes.settle().await;
    let mut client = nodes.comes_back(&pid, &offset).await;
    assert_eq!(client.recorded().await.0, json!(["in", 1]));
    assert_eq!(client.recorded().await.0, json!(["own", 1]));
    client.recoverable().await;
    assert!(cluster.reaches(0, "/", "in") && cluster.reaches(0, "/", &sid));
    // The channels are left when the session expires.
    nodes.lose(client).await;
    until(|| !cluster.reaches(0, "/", "in") && !cluster.reaches(0, "/", &sid)).await;
}

#[tokio::test]
async fn outgoing_listeners_run_per_recipient_for_events_of_other_nodes() {
    let mut nodes = nodes(&MemoryCluster::new(), Recovery::default()).await;
    let (mut one, one_sid, ..) = nodes.client().await;
    let (mut two, two_sid, ..) = nodes.client().await;
    let (_three, three_sid, ..) = nodes.client().await;
    let (sender, mut told) = log();
    nodes.here.io.of("/").on_any_outgoing(move |socket: &Socket, args: &Args| {
        let _ = sender.send((socket.id().to_owned(), format!("{}({})", args.event(), args.raw())));
    });
    nodes.other.io.to("in").except(&*three_sid).emit("n", &(1, "two")).unwrap();
    nodes.other.io.to("nobody").emit("not", &1).unwrap();
    nodes.other.io.to(&*one_sid).volatile().emit("volatile", &()).unwrap();
    nodes.settle().await;
    let mut seen = told.rest();
    seen.sort_unstable_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    let mut expected = [&one_sid, &two_sid].map(|sid| (sid.clone(), r#"n(1,"two")"#.to_owned()));
    expected.sort_unstable();
    assert_eq!(seen[..2], expected);
    assert_eq!(seen[2..], [(one_sid, "volatile()".to_owned())]);
    for client in [&mut one, &mut two] {
        assert_eq!(client.recorded().await.0, json!(["n", 1, "two"]));
    }
}
