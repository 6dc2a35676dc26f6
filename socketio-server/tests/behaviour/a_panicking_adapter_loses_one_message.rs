//! An adapter is user code. If it panics, the namespace stays in its cluster.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use socketio_adapter::{
    AdapterError, BoxFuture, ClusterMember, Discovery, Inbox, Link, Message, Offset, Room,
    RoomInterest,
};
use socketio_server::{ClusterAdapter, Recovery, Server, ServerConfig};
use support::{server_with, until, within};

/// Panics at the first join and at the first message.
#[derive(Debug, Default)]
struct Panicking {
    joins: AtomicUsize,
    published: Arc<AtomicUsize>,
    keeps_log: bool,
}

struct Line(Arc<AtomicUsize>);

impl ClusterAdapter for Panicking {
    fn discovery(&self) -> Discovery {
        Discovery::Count
    }

    fn keeps_log(&self) -> bool {
        self.keeps_log
    }

    fn join(
        &self,
        _: ClusterMember,
        _: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        assert!(self.joins.fetch_add(1, Ordering::SeqCst) > 0, "the adapter panics");
        let line: Arc<dyn Link> = Arc::new(Line(self.published.clone()));
        Box::pin(async move { Ok(line) })
    }
}

impl Link for Line {
    fn publish(&self, _: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            assert!(!first, "the link panics");
            Ok(None)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async { Ok(1) })
    }

    fn interest(&self) -> RoomInterest {
        RoomInterest::Joined
    }

    fn room_appeared(&self, _: &Room) {
        panic!("the link panics at a room");
    }

    fn room_vanished(&self, _: &Room) {
        panic!("the link panics at a room");
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        panic!("the link panics at the end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_adapter_loses_one_message() {
    let adapter = Arc::new(Panicking::default());
    let io = Server::with_config(ServerConfig::default().adapter(adapter.clone()));
    within(io.joined()).await;
    assert_eq!(adapter.joins.load(Ordering::SeqCst), 2);
    for n in 1..=2 {
        io.emit("n", &n).unwrap();
        until(|| adapter.published.load(Ordering::SeqCst) == n).await;
    }
    until(|| io.stats().cluster.sent == 1).await;
    assert_eq!(io.stats().cluster.lost, 1);
}

#[tokio::test]
async fn an_event_whose_publication_panics_is_delivered_on_this_node() {
    let adapter = Arc::new(Panicking { keeps_log: true, ..Panicking::default() });
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(config.adapter(adapter)).await;
    within(server.io.joined()).await;
    let mut client = server.open().await;
    client.send("40").await;
    client.recoverable().await;
    server.io.emit("n", &1).unwrap();
    client.expect(r#"42["n",1]"#).await;
    assert_eq!(server.io.stats().cluster.lost, 1);
}

#[tokio::test]
async fn a_link_that_panics_at_rooms_and_at_the_end_stays_in_use() {
    let adapter = Arc::new(Panicking::default());
    let server = server_with(ServerConfig::default().adapter(adapter.clone())).await;
    within(server.io.joined()).await;
    let mut connected = support::sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket = within(connected.recv()).await.unwrap();
    for n in 1..=3 {
        socket.join("room").unwrap();
        server.io.emit("n", &n).unwrap();
        client.expect(&format!(r#"42["n",{n}]"#)).await;
        until(|| adapter.published.load(Ordering::SeqCst) == n).await;
        socket.leave("room");
        tokio::task::yield_now().await;
    }
    server.io.close();
    within(server.io.ended()).await;
}
