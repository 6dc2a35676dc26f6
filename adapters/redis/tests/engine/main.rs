//! Tests of the adapters with real Redis servers and a real Redis Cluster.

#![allow(clippy::unwrap_used, clippy::panic)]

#[cfg(feature = "tls")]
#[path = "../../../testing/identity.rs"]
mod identity;
#[path = "../../../testing/suite.rs"]
mod suite;

mod batches;
mod conformance;
mod failover;
mod faults;
mod hostile;
mod permissions;
mod rooms;
mod sessions;
#[cfg(feature = "tls")]
mod tls;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use engines::Redis;
use socketio_adapter::{
    Body, ClusterAdapter, ClusterMember, Inbox, Link, Message, MessageError, Offset, Room,
    Selection, event_args,
};
use socketio_adapter_redis::{Nodes, RedisAdapter, SubscriptionMode};
use suite::{RecordingInbox, until, within};

type Adapter = Arc<RedisAdapter>;

/// Longer than a response of a busy machine takes. A test that waits for it takes as long.
const SHORT: Duration = Duration::from_secs(2);

/// Returns one adapter of each kind, with short time limits.
fn all_kinds(nodes: &Nodes) -> Vec<Adapter> {
    kinds_with(nodes, SHORT)
}

/// Returns one adapter of each kind, with this response timeout.
fn kinds_with(nodes: &Nodes, timeout: Duration) -> Vec<Adapter> {
    vec![
        RedisAdapter::classic(nodes.clone()).response_timeout(timeout).build().unwrap(),
        RedisAdapter::sharded(nodes.clone()).response_timeout(timeout).build().unwrap(),
        RedisAdapter::streams(nodes.clone()).response_timeout(timeout).build().unwrap(),
    ]
}

/// A node of a cluster, without a Socket.IO server.
struct Node {
    link: Arc<dyn Link>,
    inbox: Arc<RecordingInbox>,
    member: ClusterMember,
    _adapter: Adapter,
}

impl Node {
    async fn join(adapter: &Adapter, nsp: &str, uid: &str) -> Self {
        let inbox = Arc::new(RecordingInbox::default());
        let member =
            ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: uid.to_owned().into() };
        let others = OthersOnly { uid: uid.into(), inbox: inbox.clone() };
        let link = within(adapter.join(member.clone(), Arc::new(others))).await.unwrap();
        Self { link, inbox, member, _adapter: adapter.clone() }
    }

    fn message(&self, body: Body) -> Message {
        Message { uid: self.member.uid.clone(), nsp: self.member.nsp.clone(), body, seq: None }
    }

    fn event(&self, event: &str, rooms: &[&str]) -> Message {
        let mut selection = Selection::default();
        selection.rooms.extend(rooms.iter().map(|room| Room::from(*room)));
        let args = event_args(event, &()).unwrap();
        self.message(Body::Broadcast { args, selection, request: None })
    }

    async fn publish_event(&self, event: &str) {
        within(self.link.publish(self.event(event, &[]))).await.unwrap();
    }
}

/// Drops the node's own messages, which streams return too.
struct OthersOnly {
    uid: String,
    inbox: Arc<RecordingInbox>,
}

impl Inbox for OthersOnly {
    fn receive(&self, message: Message, offset: Option<Offset>) {
        if message.uid.as_str() != self.uid {
            Inbox::receive(&*self.inbox, message, offset);
        }
    }

    fn undecodable(&self, error: &MessageError) {
        Inbox::undecodable(&*self.inbox, error);
    }
}

/// Returns the names of the events that a node has received.
fn events(node: &Node) -> Vec<String> {
    let name = |message: Message| match message.body {
        Body::Broadcast { args, .. } => args.event().to_owned(),
        other => format!("{other:?}"),
    };
    node.inbox.messages().into_iter().map(name).collect()
}

/// Sends an event until the other node receives it.
async fn until_received(one: &Node, two: &Node) {
    let before = two.inbox.messages().len();
    until(|| async {
        let _ = one.link.publish(one.event("again", &[])).await;
        two.inbox.messages().len() > before
    })
    .await;
}

/// A raw connection to Redis. Responses are in the wire format of Redis, without line ends.
struct RawClient(BufReader<TcpStream>);

impl RawClient {
    fn new(engine: &Redis) -> Self {
        Self::at(engine.port())
    }

    fn at(port: u16) -> Self {
        Self(BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()))
    }

    fn command(&mut self, parts: &[&[u8]]) -> String {
        let mut wire = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            wire.extend(format!("${}\r\n", part.len()).bytes());
            wire.extend(*part);
            wire.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&wire).unwrap();
        self.answer()
    }

    fn command_line(&mut self, line: &str) -> String {
        let parts: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.command(&parts)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        let count = |line: &str| line[1..].parse::<i64>().unwrap();
        match line.as_bytes()[0] {
            b'$' if count(&line) >= 0 => {
                let mut text = vec![0; count(&line) as usize + 2];
                self.0.read_exact(&mut text).unwrap();
                String::from_utf8_lossy(&text).trim_end().to_owned()
            }
            b'*' => (0..count(&line)).map(|_| self.answer()).collect::<Vec<_>>().join(" "),
            _ => line,
        }
    }

    /// Returns the number of connections with subscriptions, and of all connections except this
    /// one.
    fn clients(&mut self) -> (usize, usize) {
        let list = self.command_line("CLIENT LIST");
        let none =
            |line: &&str| ["sub=0 ", "psub=0 ", "ssub=0 "].iter().all(|it| line.contains(it));
        let lines: Vec<_> = list.lines().collect();
        (lines.iter().filter(|line| !none(line)).count(), lines.len() - 1)
    }

    /// Returns the number of subscriptions to plain channels, to patterns, and to sharded channels.
    fn subscriptions(&mut self) -> [usize; 3] {
        let list = self.command_line("CLIENT LIST");
        [" sub=", " psub=", " ssub="].map(|name| {
            let number = |line: &str| {
                let rest = &line[line.find(name)? + name.len()..];
                rest.split(' ').next()?.parse::<usize>().ok()
            };
            list.lines().filter_map(number).sum()
        })
    }
}
