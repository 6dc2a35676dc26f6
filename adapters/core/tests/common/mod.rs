//! Messages, and a state machine whose clock the test controls.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use socketio_adapter::{
    Body, Cluster, ClusterLimits, ClusterMember, ClusterRequest, Discovery, Heartbeats, Message,
    NodeId, Outcome, Output, RequestId, Room, Selection, SocketDetails, ack_args, event_args,
};
use socketio_parser::Nsp;
use socketio_parser::{Args, Binary, value};

pub const UID: &str = "0a785282676f06c9";

pub fn message(body: Body) -> Message {
    Message { uid: UID.into(), nsp: Nsp::root(), body, seq: None }
}

pub fn selection(rooms: &[&str], except: &[&str]) -> Selection {
    let mut selection = Selection::default();
    selection.rooms.extend(rooms.iter().map(|room| Room::from(*room)));
    selection.except(except);
    selection
}

pub fn hello() -> Args {
    event_args("hello", &(1, "a", None::<()>, None::<()>, 1.5)).unwrap()
}

/// Returns one message of each type, with and without binary.
pub fn all() -> Vec<Message> {
    let request = RequestId::from("r1");
    let rooms = vec![Room::from("a"), Room::from("b")];
    let mut flagged = selection(&["r1"], &["r2"]);
    flagged.flags.volatile = true;
    flagged.flags.compress = Some(false);
    flagged.flags.timeout = Some(Duration::from_millis(1500));
    let binary = event_args("b", &Binary(vec![1, 2].into())).unwrap();
    let socket = SocketDetails {
        id: "sid".into(),
        handshake: value!({ "headers": { "host": "x" }, "issued": 1 }),
        rooms: rooms.clone(),
        data: value!({ "user": [1, null, "é"] }),
    };
    let with_binary = SocketDetails { data: vec![1_u8, 2].into(), ..socket.clone() };
    let with_binary = SocketDetails {
        data: value!({ "b": bytes::Bytes::from("x"), "l": with_binary.data }),
        ..socket.clone()
    };
    let asked = |args, request| Body::Broadcast { args, selection: flagged.clone(), request };
    let answer = ack_args(&"yes").unwrap();
    let blob = ack_args(&Binary(vec![1, 2].into())).unwrap();
    let bodies = vec![
        Body::InitialHeartbeat,
        Body::Heartbeat,
        asked(hello(), None),
        asked(hello(), Some(request.clone())),
        asked(binary.clone(), None),
        Body::SocketsJoin { selection: selection(&[], &[]), rooms: rooms.clone() },
        Body::SocketsLeave { selection: selection(&["a"], &["b"]), rooms },
        Body::DisconnectSockets { selection: selection(&["r1"], &[]), close: true },
        Body::FetchSockets { selection: selection(&["r1"], &[]), request: request.clone() },
        Body::FetchSocketsResponse { request: request.clone(), sockets: vec![socket, with_binary] },
        Body::ServerSideEmit { args: hello(), request: None },
        Body::ServerSideEmit { args: binary, request: Some(request.clone()) },
        Body::ServerSideEmitResponse { request: request.clone(), args: answer.clone() },
        Body::BroadcastClientCount { request: request.clone(), clients: 3 },
        Body::BroadcastAck { request: request.clone(), args: answer },
        Body::BroadcastAck { request: request.clone(), args: blob },
        Body::BroadcastAck { request, args: ack_args(&()).unwrap() },
        Body::AdapterClose,
    ];
    bodies.into_iter().map(message).collect()
}

pub struct Node {
    pub cluster: Cluster<&'static str>,
    pub now: Instant,
}

impl Node {
    pub fn new(discovery: Discovery) -> Self {
        Self::with(discovery, ClusterLimits::default())
    }

    pub fn with(discovery: Discovery, limits: ClusterLimits) -> Self {
        let member = ClusterMember { nsp: Nsp::root(), uid: UID.into() };
        Self { cluster: Cluster::new(member, discovery, limits), now: Instant::now() }
    }

    /// Creates a node that has joined and knows these peers.
    pub fn among(peers: &[&'static str]) -> Self {
        let mut node = Self::new(Discovery::Heartbeats(Heartbeats::default()));
        node.cluster.join(node.now);
        for peer in peers {
            node.hear(peer, Body::Heartbeat);
        }
        node.published();
        node
    }

    pub fn hear(&mut self, from: &'static str, body: Body) {
        let message = Message { uid: NodeId::from(from), nsp: Nsp::root(), body, seq: None };
        self.cluster.receive(self.now, message);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.cluster.handle_timeout(self.now);
    }

    pub fn ask(&mut self, request: ClusterRequest, others: usize) -> RequestId {
        self.cluster.ask(self.now, request, others, Duration::from_secs(5), "waiter").unwrap()
    }

    /// Returns the types of the messages to publish.
    #[track_caller]
    pub fn published(&mut self) -> Vec<u8> {
        let mut numbers = Vec::new();
        while let Some(output) = self.cluster.poll_output() {
            match output {
                Output::Publish(message) => numbers.push(message.body.type_number()),
                other => panic!("{other:?}"),
            }
        }
        numbers
    }

    /// Returns the outcome of the request, if it has ended.
    #[track_caller]
    pub fn outcome(&mut self) -> Option<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(output) = self.cluster.poll_output() {
            if let Output::Done { waiter, outcome } = output {
                assert_eq!(waiter, "waiter");
                outcomes.push(outcome);
            }
        }
        assert!(outcomes.len() < 2, "{outcomes:?}");
        outcomes.pop()
    }
}

pub fn sockets(request: &RequestId, ids: &[&'static str]) -> Body {
    let details =
        |id: &&'static str| SocketDetails { id: (*id).into(), ..SocketDetails::default() };
    Body::FetchSocketsResponse {
        request: request.clone(),
        sockets: ids.iter().map(details).collect(),
    }
}

pub fn ack(request: &RequestId, answer: u32) -> Body {
    Body::BroadcastAck { request: request.clone(), args: ack_args(&answer).unwrap() }
}

pub fn count(request: &RequestId, clients: u64) -> Body {
    Body::BroadcastClientCount { request: request.clone(), clients }
}
