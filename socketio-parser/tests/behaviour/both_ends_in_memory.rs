//! The machines of a client and a server, joined in memory, under any sequence of operations and a
//! virtual clock.

use crate::common;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use engineio_parser::{Frames, PacketData};
use proptest::{collection::vec, prelude::*};
use socketio_parser::{
    AckId, AckRefused, Binary, Connection, Limits, Nsp, Output, Protocol, encode_ack,
    encode_connect, encode_connect_error, encode_disconnect, encode_event,
};

const MAX_ACKS: usize = 4;
const MAX_NAMESPACES: usize = 3;

/// The end that acts, and the namespace.
type Who = (bool, u8);

#[derive(Clone, Debug)]
enum Op {
    Connect(u8),
    Accept(u8),
    Refuse(u8),
    Emit(Who),
    EmitBinary(Who),
    EmitWithAck(Who, u64),
    AnswerOldest(bool),
    Forget(Who, u8),
    Disconnect(Who),
    /// Messages to the server, or to the client, arrive.
    Deliver(bool, u8),
    Wait(u64),
    /// The transport is lost.
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let who = || (any::<bool>(), 0..5u8);
    prop_oneof![
        3 => (0..5u8).prop_map(Op::Connect),
        3 => (0..5u8).prop_map(Op::Accept),
        1 => (0..5u8).prop_map(Op::Refuse),
        2 => who().prop_map(Op::Emit),
        1 => who().prop_map(Op::EmitBinary),
        4 => (who(), 0..3_000u64).prop_map(|(who, ms)| Op::EmitWithAck(who, ms)),
        3 => any::<bool>().prop_map(Op::AnswerOldest),
        1 => (who(), 0..20u8).prop_map(|(who, id)| Op::Forget(who, id)),
        1 => who().prop_map(Op::Disconnect),
        6 => (any::<bool>(), 1..5u8).prop_map(|(to, count)| Op::Deliver(to, count)),
        2 => (0..2_000u64).prop_map(Op::Wait),
        1 => Just(Op::Close),
    ]
}

/// A machine with a minimal shell.
struct End {
    machine: Connection<u64>,
    inbox: VecDeque<PacketData>,
    /// Waiters that the machine holds.
    waiting: BTreeSet<u64>,
    resolved: BTreeMap<u64, u32>,
    asked: VecDeque<(Nsp, AckId)>,
    next_id: u64,
}

impl End {
    fn new(machine: Connection<u64>) -> Self {
        Self {
            machine,
            inbox: VecDeque::new(),
            waiting: BTreeSet::new(),
            resolved: BTreeMap::new(),
            asked: VecDeque::new(),
            next_id: 0,
        }
    }

    fn resolve(&mut self, waiter: u64) {
        assert!(self.waiting.remove(&waiter), "{waiter} was not waiting");
        *self.resolved.entry(waiter).or_default() += 1;
    }

    /// Returns the packets to send.
    fn drain(&mut self) -> Vec<Frames> {
        let mut answers = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Acked { waiter, args, .. } => {
                    assert_eq!(args.decode::<(u8, Binary)>().unwrap().0, 7);
                    self.resolve(waiter);
                }
                Output::AckTimedOut { waiter } | Output::AckFailed { waiter } => {
                    self.resolve(waiter)
                }
                Output::Event { nsp, id: Some(id), .. } => self.asked.push_back((nsp, id)),
                Output::TooManyNamespaces { nsp } => {
                    answers
                        .push(encode_connect_error(Protocol::V5, &nsp, "too many", &()).unwrap());
                }
                _ => {}
            }
        }
        answers
    }

    fn close(&mut self) {
        self.machine.close();
        self.drain();
        self.inbox.clear();
        self.asked.clear();
        assert!(self.waiting.is_empty(), "not failed at the end: {:?}", self.waiting);
        assert_eq!(self.machine.poll_timeout(), None);
    }
}

struct Pair {
    now: Instant,
    /// The client, and the server.
    ends: [End; 2],
    /// Whether the client joined a namespace again before it had received the end of the last join.
    confused: bool,
}

impl Pair {
    fn new() -> Self {
        let limits = Limits::default().max_pending_acks(MAX_ACKS).max_namespaces(MAX_NAMESPACES);
        let client = Connection::client(Protocol::V5, limits.clone());
        let server = Connection::server(Protocol::V5, limits);
        Self { now: Instant::now(), ends: [End::new(client), End::new(server)], confused: false }
    }

    fn end(&mut self, server: bool) -> &mut End {
        &mut self.ends[usize::from(server)]
    }

    fn send(&mut self, from_server: bool, frames: &Frames) {
        self.end(!from_server).inbox.extend(common::messages(frames));
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Connect(nsp) => {
                let nsp = nsp_of(nsp);
                let in_flight =
                    self.ends.iter().any(|end| end.inbox.iter().any(|data| mentions(data, &nsp)));
                if self.end(false).machine.connect(&nsp) {
                    // The protocol does not distinguish packets of an earlier join from those of this one.
                    self.confused |= in_flight;
                    self.send(false, &encode_connect(Protocol::V5, &nsp, &()).unwrap());
                }
            }
            Op::Accept(nsp) => {
                let nsp = nsp_of(nsp);
                if self.end(true).machine.accept(&nsp) {
                    self.send(true, &encode_connect(Protocol::V5, &nsp, &()).unwrap());
                }
            }
            Op::Refuse(nsp) => {
                let nsp = nsp_of(nsp);
                if self.end(true).machine.refuse(&nsp) {
                    let refusal = encode_connect_error(Protocol::V5, &nsp, "no", &()).unwrap();
                    self.send(true, &refusal);
                }
            }
            Op::Emit((server, nsp)) => self.emit(server, &nsp_of(nsp), None, &()),
            Op::EmitBinary((server, nsp)) => {
                self.emit(server, &nsp_of(nsp), None, &(1, Binary::from(vec![1])));
            }
            Op::EmitWithAck((server, nsp), ms) => self.emit_with_ack(server, &nsp_of(nsp), ms),
            Op::AnswerOldest(server) => {
                let asked = self.end(server).asked.pop_front();
                if let Some((nsp, id)) = asked.filter(|(nsp, _)| self.may_emit(server, nsp)) {
                    let answer = encode_ack(&nsp, id, &(7, Binary::from(vec![]))).unwrap();
                    self.send(server, &answer);
                }
            }
            Op::Forget((server, nsp), id) => {
                let end = self.end(server);
                if let Some(waiter) = end.machine.forget_ack(&nsp_of(nsp), u64::from(id).into()) {
                    end.resolve(waiter);
                }
            }
            Op::Disconnect((server, nsp)) => {
                let nsp = nsp_of(nsp);
                if self.end(server).machine.disconnect(&nsp) {
                    self.send(server, &encode_disconnect(&nsp));
                }
            }
            Op::Deliver(to_server, count) => {
                for _ in 0..count {
                    self.deliver(to_server);
                }
            }
            Op::Wait(ms) => {
                self.now += Duration::from_millis(ms);
                let now = self.now;
                for end in &mut self.ends {
                    end.machine.handle_timeout(now).unwrap();
                    assert!(end.machine.poll_timeout().is_none_or(|deadline| deadline > now));
                }
            }
            Op::Close => {
                self.ends.iter_mut().for_each(End::close);
                // A new session has new machines. The counts remain.
                let fresh = Self::new();
                for (end, fresh) in self.ends.iter_mut().zip(fresh.ends) {
                    end.machine = fresh.machine;
                }
                self.confused = false;
            }
        }
        self.check();
    }

    /// A client that follows the protocol emits only in namespaces that it has joined.
    fn may_emit(&mut self, server: bool, nsp: &Nsp) -> bool {
        self.end(server).machine.is_connected(nsp)
    }

    fn emit<T: serde::Serialize>(&mut self, server: bool, nsp: &Nsp, id: Option<AckId>, args: &T) {
        if self.may_emit(server, nsp) {
            self.send(server, &encode_event(nsp, id, "e", args).unwrap());
        }
    }

    fn emit_with_ack(&mut self, server: bool, nsp: &Nsp, ms: u64) {
        let now = self.now;
        let end = self.end(server);
        let waiter = end.next_id;
        let timeout = Duration::from_millis(ms);
        match end.machine.expect_ack(now, nsp, waiter.into(), timeout, waiter) {
            Ok(()) => {
                end.next_id += 1;
                end.waiting.insert(waiter);
                self.emit(server, nsp, Some(waiter.into()), &("question",));
            }
            Err((AckRefused::TooMany, back)) => {
                assert_eq!((end.machine.pending_acks(), back), (MAX_ACKS, waiter));
            }
            Err((refused, _)) => assert_eq!(refused, AckRefused::NotConnected),
        }
    }

    fn deliver(&mut self, to_server: bool) {
        let now = self.now;
        let end = self.end(to_server);
        let Some(data) = end.inbox.pop_front() else {
            return;
        };
        let outcome = end.machine.handle_data(now, data);
        for answer in end.drain() {
            self.send(to_server, &answer);
        }
        if let Err(violation) = outcome {
            assert!(self.confused, "closed on an honest client: {violation}");
            self.run(Op::Close);
        }
    }

    fn check(&mut self) {
        for end in &mut self.ends {
            end.drain();
            assert_eq!(end.machine.pending_acks(), end.waiting.len());
            assert!(end.machine.pending_acks() <= MAX_ACKS);
            assert!(end.resolved.values().all(|times| *times == 1));
        }
        assert!(self.end(true).machine.connected().count() <= MAX_NAMESPACES);
    }
}

fn mentions(data: &PacketData, nsp: &Nsp) -> bool {
    match data {
        PacketData::Text(text) if nsp.is_root() => !text.contains('/'),
        PacketData::Text(text) => text.contains(&format!("{nsp},")),
        PacketData::Binary(_) => false,
    }
}

fn nsp_of(number: u8) -> Nsp {
    if number == 0 { Nsp::root() } else { Nsp::unchecked(&format!("/{number}")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Nothing panics, tables stay bounded, each ack is resolved exactly once, and no client that
    /// follows the protocol is closed.
    #[test]
    fn any_operations(ops in vec(op(), 0..120)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.run(op);
        }
        pair.ends.iter_mut().for_each(End::close);
        pair.check();
        for end in &pair.ends {
            prop_assert_eq!(end.resolved.len() as u64, end.next_id);
        }
    }
}
