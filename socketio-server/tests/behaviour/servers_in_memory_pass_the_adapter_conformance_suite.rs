//! Three servers in one process, joined by the adapter in memory, pass the conformance suite of the
//! adapters: with counted peers, with heartbeats, and with a channel per room. The clients connect
//! over loopback.

use crate::support;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rigs::ops;
use socketio_adapter::{
    Heartbeats, MemoryAdapter, MemoryMessage,
    conformance::{self, Client, Event, Harness},
};
use socketio_parser::{Content, Decoder, Limits, Nsp, Value, Values, encode_ack, encode_event};
use socketio_server::{ClusterAdapter, ClusterLimits, MemoryCluster, ServerConfig};
use support::{Message, Running, nodes, packet, server_with, until, within};

struct Servers {
    cluster: MemoryCluster,
    servers: Vec<(Running, Arc<MemoryAdapter>)>,
}

/// Messages from and to the last server are delayed a little, in order.
fn slow(cluster: &MemoryCluster) {
    let (sender, mut late) = tokio::sync::mpsc::unbounded_channel::<MemoryMessage>();
    tokio::spawn(async move {
        while let Some(message) = late.recv().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
            message.deliver();
        }
    });
    cluster.on_message(move |message| {
        if message.from == 2 || message.to == 2 {
            let _ = sender.send(message);
        } else {
            message.deliver();
        }
    });
}

async fn servers(cluster: MemoryCluster) -> Servers {
    slow(&cluster);
    let mut servers = Vec::new();
    for n in 0..3 {
        let adapter = cluster.adapter();
        let limits = ClusterLimits::default().request_timeout(Duration::from_secs(15));
        let config = ServerConfig::default().adapter(adapter.clone()).cluster_limits(limits);
        let server = server_with(config).await;
        ops::serve(&server.io, &format!("node {n}"));
        within(server.io.joined()).await;
        servers.push((server, adapter));
    }
    for (server, _) in &servers {
        for nsp in ["/", "/chat"] {
            while within(server.io.of(nsp).server_count()).await.unwrap() < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    Servers { cluster, servers }
}

impl Harness for Servers {
    type Client = Tester;

    async fn connect(&self, server: usize, nsp: &str, rooms: &[&str], data: Value) -> Tester {
        let mut client = self.servers[server].0.open().await;
        let hello = serde_json::json!({ "join": rooms, "data": data });
        client.send(&packet("40", nsp, &hello.to_string())).await;
        let id = client.connected(nsp).await;
        let decoder = Decoder::new(&Limits::default());
        Tester { client, id, nsp: Nsp::unchecked(nsp), decoder, kept: VecDeque::new(), asked: 0 }
    }

    async fn settle(&self, server: usize, nsp: &str, room: &str) {
        until(|| self.cluster.reaches(server, nsp, room)).await;
    }

    fn kill(&self, server: usize) {
        self.servers[server].1.kill();
    }
}

struct Tester {
    client: support::Client,
    id: String,
    nsp: Nsp,
    decoder: Decoder,
    kept: VecDeque<Event>,
    asked: u64,
}

impl Tester {
    async fn send(&mut self, frames: engineio_server::Frames) {
        for frame in frames.iter() {
            let payload = frame.payload();
            if frame.is_binary() {
                self.client.send_binary(&payload).await;
            } else {
                self.client.send(std::str::from_utf8(&payload).unwrap()).await;
            }
        }
    }

    /// Returns the next packet, or `None` at the end.
    async fn packet(&mut self) -> Option<Content> {
        loop {
            let decoded = match self.client.next().await? {
                Message::Text(text) => {
                    let text = text.as_str().strip_prefix('4').unwrap().to_owned();
                    self.decoder.decode_text(text.into())
                }
                Message::Binary(bytes) => self.decoder.decode_binary(bytes),
                other => panic!("{other:?}"),
            };
            match decoded.unwrap().map(|packet| packet.content) {
                Some(Content::Disconnect) => return None,
                Some(content) => return Some(content),
                None => {}
            }
        }
    }
}

impl Client for Tester {
    fn id(&self) -> &str {
        &self.id
    }

    async fn call(&mut self, op: Value) -> Value {
        let id = self.asked;
        self.asked += 1;
        self.send(encode_event(&self.nsp, Some(id.into()), "op", &op).unwrap()).await;
        loop {
            match self.packet().await {
                Some(Content::Ack { id: Some(answered), args }) => {
                    assert_eq!(answered.get(), Some(id));
                    return args.values().unwrap().into_iter().next().unwrap_or_default();
                }
                Some(content) => self.kept.extend(event(content)),
                None => panic!("disconnected before the answer to {op:?}"),
            }
        }
    }

    async fn next(&mut self) -> Option<Event> {
        match self.kept.pop_front() {
            Some(event) => Some(event),
            None => self.packet().await.and_then(event),
        }
    }

    async fn acknowledge(&mut self, id: u64, value: Value) {
        self.send(encode_ack(&self.nsp, id.into(), &Values(vec![value])).unwrap()).await;
    }
}

fn event(content: Content) -> Option<Event> {
    let Content::Event { id, args } = content else { panic!("{content:?}") };
    let ack = id.and_then(|id| id.get());
    Some(Event { name: args.event().to_owned(), args: Values(args.values().unwrap()), ack })
}

macro_rules! suite {
    ($($behaviour:ident),* $(,)?) => {
        $(mod $behaviour {
            use super::*;

            #[tokio::test]
            async fn where_peers_are_counted() {
                conformance::$behaviour(&servers(MemoryCluster::new()).await).await;
            }

            #[tokio::test]
            async fn where_peers_have_heartbeats() {
                let heartbeats = Heartbeats {
                    interval: Duration::from_millis(200),
                    timeout: Duration::from_secs(3),
                };
                let cluster = MemoryCluster::with_heartbeats(heartbeats);
                conformance::$behaviour(&servers(cluster).await).await;
            }

            #[tokio::test]
            async fn where_an_engine_keeps_a_log() {
                conformance::$behaviour(&servers(nodes::cluster()).await).await;
            }

            #[tokio::test]
            async fn where_rooms_have_channels() {
                let cluster = MemoryCluster::with_room_channels();
                conformance::$behaviour(&servers(cluster).await).await;
            }
        })*
    };
}

suite!(
    broadcasts_reach_the_selected_clients,
    messages_of_a_server_keep_their_order,
    namespaces_are_separate,
    acks_are_collected,
    partial_acks_are_returned_at_the_deadline,
    sockets_are_fetched,
    sockets_join_and_leave,
    sockets_are_disconnected,
    server_side_events_reach_the_other_servers,
    dead_servers_do_not_block_requests,
);

struct InMemory(MemoryCluster);

impl conformance::LogHarness for InMemory {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        self.0.adapter()
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn all_nodes_see_one_order() {
    within(conformance::all_nodes_see_one_order(&InMemory(nodes::cluster()))).await;
}

#[tokio::test]
async fn sessions_are_taken_once() {
    within(conformance::sessions_are_taken_once(&InMemory(nodes::cluster()))).await;
}

#[tokio::test]
async fn missed_events_are_found() {
    within(conformance::missed_events_are_found(&InMemory(nodes::cluster()))).await;
}
