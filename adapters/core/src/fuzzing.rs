//! The bodies of the fuzz targets, which are not part of the public API. Each accepts any bytes and
//! must not panic.

#![allow(clippy::disallowed_methods, reason = "the clock only gives the start of a virtual time")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use socketio_parser::{Args, Nsp};

use crate::{
    Body, Cluster, ClusterLimits, ClusterMember, ClusterRequest, Discovery, Heartbeats, Message,
    NodeId, Output, RequestId, Selection, SocketDetails, ack_args, recovery::SavedSession,
};

/// Decodes a message. If this succeeds, encoding and decoding it again must not change it.
pub fn message(data: &[u8]) {
    let limits = ClusterLimits::default();
    let Ok(message) = Message::decode(data, &limits) else { return };
    assert!(Message::decode(&message.encode(), &limits).is_ok(), "{message:?}");
    // Only the second round must be exact. The first may change the form of numbers, and msgpack
    // cannot contain lone surrogates.
    if let Ok(once) = Message::decode(&message.to_msgpack(), &limits) {
        let twice = Message::decode(&once.to_msgpack(), &limits);
        assert!(twice.is_ok_and(|twice| twice == once), "{once:?}");
    }
}

/// Decodes a stored session. If this succeeds, encoding and decoding it again must not change it.
pub fn session(data: &[u8]) {
    let limits = ClusterLimits::default();
    let Ok(session) = SavedSession::from_msgpack(data, &limits) else { return };
    let bytes = session.to_msgpack();
    // As with messages, only the second round must be exact.
    if let Ok(again) = SavedSession::from_msgpack(&bytes, &limits) {
        assert_eq!(again.to_msgpack(), bytes, "{session:?}");
        assert_eq!((again.pid, again.sid, again.rooms), (session.pid, session.sid, session.rooms));
    }
}

/// Executes one operation on the state machine for every two bytes. In any order of operations,
/// every waiter must be returned once, and the limits must hold.
pub fn cluster_ops(data: &[u8]) {
    let (Some((&first, ops)), Ok(args)) = (data.split_first(), ack_args(&())) else { return };
    let discovery = match first % 2 {
        0 => Discovery::Count,
        _ => Discovery::Heartbeats(Heartbeats::default()),
    };
    let limits = ClusterLimits::default().max_requests(4).max_peers(4).max_replies(8);
    let member = ClusterMember { nsp: Nsp::root(), uid: "0".into() };
    let mut node = Fuzzed {
        cluster: Cluster::new(member, discovery, limits),
        now: Instant::now(),
        args,
        requests: Vec::new(),
        waiting: BTreeSet::new(),
    };
    for op in ops.chunks_exact(2) {
        if let [kind, value] = op {
            node.run(*kind, *value);
        }
    }
    node.cluster.close();
    node.drain();
    assert!(node.waiting.is_empty(), "{:?} wait forever", node.waiting);
    assert_eq!((node.cluster.pending_requests(), node.cluster.poll_timeout()), (0, None));
}

struct Fuzzed {
    cluster: Cluster<usize>,
    now: Instant,
    /// The arguments of all messages, which the machine does not read.
    args: Args,
    requests: Vec<RequestId>,
    waiting: BTreeSet<usize>,
}

impl Fuzzed {
    fn run(&mut self, kind: u8, value: u8) {
        let known = self.requests.get(usize::from(value >> 3) % self.requests.len().max(1));
        let request = || known.cloned().unwrap_or_else(|| "nobody".into());
        let body = match kind % 13 {
            0 => return self.cluster.join(self.now),
            1 => return self.pass(Duration::from_millis(u64::from(value) * 20)),
            2 => return self.ask(ClusterRequest::ServerSideEmit(self.args.clone()), value),
            3 => return self.ask(ClusterRequest::FetchSockets(Selection::default()), value),
            4 => {
                let request = ClusterRequest::Broadcast(self.args.clone(), Selection::default());
                return self.ask(request, value);
            }
            5 => {
                if let Some(waiter) = self.cluster.forget(&request()) {
                    assert!(self.waiting.remove(&waiter), "{waiter} was done already");
                }
                return;
            }
            6 => Body::InitialHeartbeat,
            7 => Body::AdapterClose,
            8 => {
                let sockets = vec![SocketDetails::default(); usize::from(value % 4)];
                Body::FetchSocketsResponse { request: request(), sockets }
            }
            9 => Body::ServerSideEmitResponse { request: request(), args: self.args.clone() },
            10 => {
                let clients = if value == 0 { u64::MAX } else { u64::from(value % 4) };
                Body::BroadcastClientCount { request: request(), clients }
            }
            11 => Body::BroadcastAck { request: request(), args: self.args.clone() },
            _ => Body::Heartbeat,
        };
        let uid = NodeId::from((value % 8).to_string());
        self.cluster.receive(self.now, Message { uid, nsp: Nsp::root(), body, seq: None });
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.cluster.handle_timeout(self.now);
        self.drain();
        assert!(self.cluster.poll_timeout().is_none_or(|next| next > self.now), "not dealt with");
    }

    fn ask(&mut self, request: ClusterRequest, value: u8) {
        let waiter = self.requests.len();
        let timeout = Duration::from_millis(u64::from(value) * 20 + 1);
        let others = usize::from(value % 4);
        match self.cluster.ask(self.now, request, others, timeout, waiter) {
            Ok(request) => {
                self.requests.push(request);
                self.waiting.insert(waiter);
            }
            Err(refused) => assert_eq!((refused.waiter, refused.limit), (waiter, Some(4))),
        }
        self.drain();
        assert!(
            self.cluster.pending_requests() <= 4
                && self.cluster.pending_requests() == self.waiting.len()
        );
        assert!(self.cluster.node_count().is_none_or(|nodes| nodes <= 5));
    }

    fn drain(&mut self) {
        while let Some(output) = self.cluster.poll_output() {
            if let Output::Done { waiter, .. } = output {
                assert!(self.waiting.remove(&waiter), "{waiter} was done already");
            }
        }
    }
}
