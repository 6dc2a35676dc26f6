//! A session on a WebSocket is upgraded to WebTransport. Packets of one transport may overtake those
//! of the other.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use engineio_parser::{
    Packet, PacketData, Revision,
    Transport::{self, Polling, WebSocket, WebTransport},
    session::{CloseReason, Input, Loss, Output, Reading, Session, Unsent, Violation},
};
use proptest::prelude::*;

use crate::harness::{Harness, UPGRADE_TIMEOUT, config, message, received, with_attachments};

/// A server whose client has answered its probe.
fn probed() -> Harness {
    let mut server = Harness::server(WebSocket);
    server.accept(Input::ProbeStarted(WebTransport));
    server.receive(WebTransport, "2probe");
    assert_eq!(server.transmit(WebTransport), ["3probe"]);
    server
}

/// A server whose client has switched, and has not ended the WebSocket yet.
fn draining() -> Harness {
    let mut server = probed();
    server.receive(WebTransport, "5");
    assert_eq!(server.outputs(), [Output::Upgraded(WebTransport)]);
    assert_eq!(server.session.former_transport(), Some(WebSocket));
    server
}

#[test]
fn both_transports_are_served_during_the_probe() {
    let mut server = probed();
    server.send("a");
    server.receive(WebSocket, "4b");
    assert!(server.transmit(WebTransport).is_empty());
    assert_eq!(server.transmit(WebSocket), ["4a"]);
    assert_eq!(server.outputs(), [received("b")]);
    server.send("c");
    server.receive(WebTransport, "5");
    assert!(server.transmit(WebSocket).is_empty());
    assert_eq!(server.transmit(WebTransport), ["4c"]);
}

#[test]
fn messages_on_the_former_transport_are_received_until_its_end() {
    let mut server = draining();
    server.receive(WebSocket, "4a");
    assert_eq!(server.session.former_transport(), Some(WebSocket));
    server.accept(Input::Lost(WebSocket, Loss::Closed));
    assert_eq!(server.session.former_transport(), None);
    server.receive(WebSocket, "4stray");
    server.receive(WebTransport, "4b");
    assert_eq!(server.outputs(), [received("a"), received("b")]);
    for _ in 0..10 {
        server.advance(UPGRADE_TIMEOUT / 5);
        server.transmit(WebTransport);
        server.receive(WebTransport, "3");
    }
    assert!(server.session.is_open());
}

#[test]
fn a_run_leaves_on_the_transport_that_carries_its_first_frame() {
    let mut server = probed();
    server.session.send(with_attachments("a", &["1", "2"])).unwrap();
    server.send("b");
    assert!(server.session.poll_transmit(WebSocket, usize::MAX).is_some());
    server.receive(WebTransport, "5");
    assert!(server.transmit(WebTransport).is_empty() && !server.session.has_transmit(WebTransport));
    assert!(server.session.has_transmit(WebSocket));
    assert_eq!(server.transmit(WebSocket), ["1", "2"]);
    assert!(!server.session.has_transmit(WebSocket));
    assert_eq!(server.transmit(WebTransport), ["4b"]);
}

#[test]
fn a_closing_session_sends_the_run_before_it_ends() {
    let mut server = probed();
    server.session.send(with_attachments("a", &["1"])).unwrap();
    assert!(server.session.poll_transmit(WebSocket, usize::MAX).is_some());
    server.receive(WebTransport, "5");
    server.close(Unsent::Send);
    assert_eq!(server.close_reason(), None);
    assert_eq!(server.transmit(WebSocket), ["1"]);
    assert_eq!(server.close_reason(), Some(CloseReason::ForcedClose));
}

#[test]
fn a_failed_probe_leaves_the_websocket() {
    let failures: [&dyn Fn(&mut Harness); 4] = [
        &|server| server.accept(Input::Lost(WebTransport, Loss::Failed)),
        &|server| server.accept(Input::Malformed(WebTransport)),
        &|server| server.receive(WebTransport, "4message"),
        &|server| {
            // The client answers pings meanwhile.
            for _ in 0..5 {
                server.advance(UPGRADE_TIMEOUT / 5);
                server.transmit(WebSocket);
                server.receive(WebSocket, "3");
            }
        },
    ];
    for fail in failures {
        let mut server = probed();
        fail(&mut server);
        assert_eq!(server.outputs(), [Output::ProbeFailed(WebTransport)]);
        server.send("a");
        assert_eq!(server.transmit(WebSocket), ["4a"]);
        // The client may try again.
        server.accept(Input::ProbeStarted(WebTransport));
        server.receive(WebTransport, "5");
        assert_eq!(server.outputs(), [Output::Upgraded(WebTransport)]);
    }
}

#[test]
fn a_former_transport_that_fails_ends_the_session() {
    let mut server = draining();
    server.accept(Input::Lost(WebSocket, Loss::Failed));
    assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
    let mut server = draining();
    server.accept(Input::Malformed(WebSocket));
    assert_eq!(server.close_reason(), Some(CloseReason::ParseError));
    // Its run has not left completely.
    let mut server = probed();
    server.session.send(with_attachments("a", &["1"])).unwrap();
    assert!(server.session.poll_transmit(WebSocket, usize::MAX).is_some());
    server.receive(WebTransport, "5");
    server.accept(Input::Lost(WebSocket, Loss::Closed));
    assert_eq!(server.close_reason(), Some(CloseReason::TransportClose));
}

#[test]
fn a_former_transport_without_end_ends_the_session() {
    let mut server = probed();
    for _ in 0..4 {
        server.advance(UPGRADE_TIMEOUT / 5);
        server.transmit(WebSocket);
        server.receive(WebSocket, "3");
    }
    // The deadline starts again with the switch.
    server.receive(WebTransport, "5");
    server.outputs();
    for part in 0..5 {
        assert!(server.session.is_open(), "{part}");
        server.advance(UPGRADE_TIMEOUT / 5);
        server.transmit(WebTransport);
        server.receive(WebSocket, "3");
    }
    assert_eq!(server.close_reason(), Some(CloseReason::TransportError));
}

#[test]
fn a_shell_that_reads_nothing_is_not_blamed_on_the_client() {
    let mut server = draining();
    server.set_reading(Reading::Blind);
    server.advance(3 * UPGRADE_TIMEOUT);
    assert!(server.session.is_open());
    server.set_reading(Reading::Open);
    server.accept(Input::Lost(WebSocket, Loss::Closed));
    assert!(server.session.is_open() && server.session.former_transport().is_none());
}

#[test]
fn a_session_is_upgraded_once() {
    let mut server = Harness::server(Polling);
    server.probe();
    server.receive(WebSocket, "5");
    assert_eq!(server.outputs(), [Output::Upgraded(WebSocket)]);
    let refused = Err(Violation::UpgradeRefused);
    assert_eq!(server.input(Input::ProbeStarted(WebTransport)), refused);
    let mut server = draining();
    assert_eq!(server.input(Input::ProbeStarted(WebTransport)), refused);
    server.accept(Input::Lost(WebSocket, Loss::Closed));
    assert_eq!(server.input(Input::ProbeStarted(WebTransport)), refused);
    let mut server = probed();
    assert_eq!(server.input(Input::ProbeStarted(WebTransport)), refused);
    for (transport, via) in
        [(WebSocket, WebSocket), (WebTransport, WebTransport), (WebTransport, WebSocket)]
    {
        let mut server = Harness::server(transport);
        assert_eq!(server.input(Input::ProbeStarted(via)), refused);
    }
}

/// The packets and ends that a transport carries.
#[derive(Clone, Debug)]
enum Item {
    Packet(Packet),
    /// The close frame.
    End,
}

/// Two sessions, joined by two transports that deliver in any order relative to each other.
struct Pair {
    now: Instant,
    ends: [End; 2],
}

struct End {
    session: Session,
    sent: Vec<PacketData>,
    received: Vec<PacketData>,
    upgraded: bool,
    closed: Option<CloseReason>,
    /// Packets that have not reached this end yet.
    websocket: VecDeque<Item>,
    webtransport: VecDeque<Item>,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Pair {
    fn new() -> Self {
        let (now, config) = (Instant::now(), Arc::new(config()));
        let sessions = [
            Session::client(now, config.clone(), Revision::V4, WebSocket),
            Session::server(now, config, Revision::V4, WebSocket, "sid".into()),
        ];
        let ends = sessions.map(|session| End {
            session,
            sent: Vec::new(),
            received: Vec::new(),
            upgraded: false,
            closed: None,
            websocket: VecDeque::new(),
            webtransport: VecDeque::new(),
        });
        let mut pair = Self { now, ends };
        pair.transmit(SERVER, WebSocket, usize::MAX);
        pair.deliver(CLIENT, WebSocket);
        assert!(pair.ends[CLIENT].session.is_open());
        pair
    }

    fn incoming(&mut self, to: usize, via: Transport) -> &mut VecDeque<Item> {
        match via {
            WebSocket => &mut self.ends[to].websocket,
            _ => &mut self.ends[to].webtransport,
        }
    }

    fn send(&mut self, from: usize, number: usize, attachments: usize) {
        let texts = ["1", "2", "3"];
        let frames = with_attachments(&number.to_string(), &texts[..attachments]);
        self.ends[from].sent.extend(frames.iter().map(|frame| frame.to_packet().data));
        self.ends[from].session.send(frames).unwrap();
    }

    /// Transmits at most `count` frames.
    fn transmit(&mut self, from: usize, via: Transport, count: usize) {
        for _ in 0..count {
            let Some(frame) = self.ends[from].session.poll_transmit(via, usize::MAX) else { break };
            self.incoming(1 - from, via).push_back(Item::Packet(frame.to_packet()));
        }
        self.outputs(from);
    }

    /// Delivers the next item of a transport, unless it has to wait.
    fn deliver(&mut self, to: usize, via: Transport) -> bool {
        if self.ends[to].session.former_transport().is_some_and(|former| former != via) {
            return false;
        }
        let Some(item) = self.incoming(to, via).pop_front() else { return false };
        let input = match item {
            Item::Packet(packet) => Input::Packet(via, packet),
            Item::End => Input::Lost(via, Loss::Closed),
        };
        if to == CLIENT && matches!(input, Input::Lost(..)) {
            // The client answers a close frame.
            self.incoming(SERVER, via).push_back(Item::End);
        }
        let now = self.now;
        let _ = self.ends[to].session.handle_input(now, input);
        self.outputs(to);
        true
    }

    fn outputs(&mut self, side: usize) {
        while let Some(output) = self.ends[side].session.poll_output() {
            let end = &mut self.ends[side];
            match output {
                Output::Message(data) => end.received.push(data),
                Output::Closed(reason) => end.closed = Some(reason),
                Output::Upgraded(_) => {
                    end.upgraded = true;
                    self.transmit(side, WebSocket, usize::MAX);
                    if side == SERVER {
                        self.incoming(CLIENT, WebSocket).push_back(Item::End);
                    }
                }
                _ => {}
            }
        }
    }

    fn start_upgrade(&mut self) {
        for side in [CLIENT, SERVER] {
            let _ =
                self.ends[side].session.handle_input(self.now, Input::ProbeStarted(WebTransport));
        }
    }

    /// Delivers everything.
    fn settle(&mut self) {
        let both = [
            (CLIENT, WebTransport),
            (CLIENT, WebSocket),
            (SERVER, WebTransport),
            (SERVER, WebSocket),
        ];
        loop {
            both.iter().for_each(|(side, via)| self.transmit(*side, *via, usize::MAX));
            let delivered = both.iter().filter(|(side, via)| self.deliver(*side, *via)).count();
            if delivered == 0 {
                return;
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send { from: usize, attachments: usize },
    Transmit { from: usize, via: Transport, count: usize },
    Deliver { to: usize, via: Transport },
    Upgrade,
}

fn step() -> impl Strategy<Value = Step> {
    let via = || prop_oneof![Just(WebSocket), Just(WebTransport)];
    prop_oneof![
        4 => (0..2_usize, 0..4_usize).prop_map(|(from, attachments)| Step::Send { from, attachments }),
        6 => (0..2_usize, via(), 1..4_usize)
            .prop_map(|(from, via, count)| Step::Transmit { from, via, count }),
        8 => (0..2_usize, via()).prop_map(|(to, via)| Step::Deliver { to, via }),
        1 => Just(Step::Upgrade),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_message_is_lost_repeated_or_overtaken(
        before in prop::collection::vec(step(), 0..20),
        after in prop::collection::vec(step(), 0..60),
    ) {
        let mut pair = Pair::new();
        for (number, step) in before.into_iter().chain([Step::Upgrade]).chain(after).enumerate() {
            match step {
                Step::Send { from, attachments } => pair.send(from, number, attachments),
                Step::Transmit { from, via, count } => pair.transmit(from, via, count),
                Step::Deliver { to, via } => _ = pair.deliver(to, via),
                Step::Upgrade => pair.start_upgrade(),
            }
        }
        pair.settle();
        for side in [CLIENT, SERVER] {
            let end = &pair.ends[side];
            prop_assert_eq!(end.closed, None);
            prop_assert!(end.upgraded && end.session.former_transport().is_none());
            prop_assert_eq!(end.session.transport(), WebTransport);
            prop_assert_eq!(&end.received, &pair.ends[1 - side].sent);
        }
    }
}

#[test]
fn a_volatile_message_waits_for_no_former_run() {
    let mut server = probed();
    server.session.send(with_attachments("a", &["1"])).unwrap();
    assert!(server.session.poll_transmit(WebSocket, usize::MAX).is_some());
    server.receive(WebTransport, "5");
    assert!(!server.session.send_volatile(message("b")));
    server.transmit(WebSocket);
    assert!(server.session.send_volatile(message("c")));
    assert_eq!(server.transmit(WebTransport), ["4c"]);
}
