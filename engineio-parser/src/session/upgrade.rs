//! The probe of a second transport, as a transition table. The session applies its steps to queue
//! and timers.
//!
//! ```text
//!            ProbeStarted         2probe                  5
//! server:  Idle ────────► Probing ──────► Probing(answered) ──────► Idle, on the new transport
//!
//!            ProbeStarted         3probe           requests ended: 5
//! client:  Idle ────────► Probing ──────► Pausing ─────────────────► Idle, on the new transport
//!
//! any other packet, a loss, a timeout:    Probing, Pausing ────────► Idle, on the former transport
//!
//!                  an answered probe is lost                    a request
//! server:  Probing ───────────────────────────► AwaitingRequest ─────────► Idle, on polling
//!
//!                    5 or 3probe, on a WebSocket           its end
//! both:     Probing ────────────────────────────► Draining ───────► Idle, on the new transport
//! ```

use super::event::Role;
use crate::{
    frame::Frame,
    packet::{Packet, PacketData, PacketType, Transport},
};

const PROBE: &str = "probe";

#[derive(Debug, Default)]
pub(super) struct Upgrade {
    state: State,
    /// The packet of the exchange that must leave on the new transport before all others.
    outbox: Option<(Transport, PacketType)>,
    /// Whether an upgrade has succeeded. As in Node, a session is upgraded once.
    upgraded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Probing {
        via: Transport,
        answered: bool,
    },
    /// Client: the probe has succeeded, and polling is ending.
    Pausing {
        via: Transport,
    },
    /// Server: the client has closed an answered probe, and made no request since.
    AwaitingRequest,
    /// The session has left a message transport that is not read to its end yet.
    Draining {
        former: Transport,
        /// The former transport still carries the rest of a run.
        run: bool,
    },
}

/// The consequence of a packet on the probe's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Server: answer the probe.
    Answer,
    /// Client: start no further polling request.
    Pause,
    /// Server: the client has switched.
    Switch,
    /// The probe breaks the protocol.
    Fail,
}

impl Upgrade {
    /// The transport that is being probed.
    pub(super) fn via(&self) -> Option<Transport> {
        match self.state {
            State::Idle | State::AwaitingRequest | State::Draining { .. } => None,
            State::Probing { via, .. } | State::Pausing { via } => Some(via),
        }
    }

    /// Whether a transport can replace the current one.
    pub(super) fn fits(&self, transport: Transport, via: Transport) -> bool {
        match (transport, via) {
            _ if self.upgraded || self.via().is_some() => false,
            (Transport::Polling, via) => via != Transport::Polling,
            (transport, via) => transport == Transport::WebSocket && via == Transport::WebTransport,
        }
    }

    pub(super) fn start(&mut self, role: Role, via: Transport) {
        self.state = State::Probing { via, answered: false };
        self.outbox = (role == Role::Client).then_some((via, PacketType::Ping));
    }

    /// Server: whether the probe was answered. The client may then wait for the end of its GET.
    pub(super) fn answered(&self) -> bool {
        matches!(self.state, State::Probing { answered: true, .. })
    }

    /// Server: the client has closed an answered probe.
    pub(super) fn expect_request(&mut self) {
        self.state = State::AwaitingRequest;
    }

    /// Server: whether the client has closed an answered probe, and made no request since.
    pub(super) fn expects_request(&self) -> bool {
        self.state == State::AwaitingRequest
    }

    /// Server: the client has made a request. Returns whether one was expected.
    pub(super) fn request_arrived(&mut self) -> bool {
        let expected = self.expects_request();
        if expected {
            self.state = State::Idle;
        }
        expected
    }

    /// Client: whether no new request may be made.
    pub(super) fn pausing(&self) -> bool {
        matches!(self.state, State::Pausing { .. })
    }

    /// Processes a packet on the probe's transport.
    pub(super) fn on_packet(&mut self, role: Role, packet: &Packet) -> Step {
        let State::Probing { via, .. } = self.state else {
            return Step::Fail;
        };
        let is_probe = matches!(&packet.data, PacketData::Text(text) if *text == PROBE);
        match (role, packet.kind) {
            (Role::Server, PacketType::Ping) if is_probe => {
                self.state = State::Probing { via, answered: true };
                self.outbox = Some((via, PacketType::Pong));
                Step::Answer
            }
            (Role::Server, PacketType::Upgrade) => Step::Switch,
            (Role::Client, PacketType::Pong) if is_probe => {
                self.state = State::Pausing { via };
                Step::Pause
            }
            _ => Step::Fail,
        }
    }

    /// Completes the switch. Packets of the exchange that have not left yet still precede all
    /// others on the new transport. `run` is whether the former transport has carried a part of a
    /// run.
    pub(super) fn finish(&mut self, role: Role, former: Transport, run: bool) {
        if let (Role::Client, Some(via)) = (role, self.via()) {
            self.outbox = Some((via, PacketType::Upgrade));
        }
        self.upgraded = true;
        self.state = match former {
            Transport::Polling => State::Idle,
            former => State::Draining { former, run },
        };
    }

    /// The transport that the session has left, until it is read to its end.
    pub(super) fn former(&self) -> Option<Transport> {
        match self.state {
            State::Draining { former, .. } => Some(former),
            _ => None,
        }
    }

    /// The former transport, while it carries the rest of a run.
    pub(super) fn run_via(&self) -> Option<Transport> {
        match self.state {
            State::Draining { former, run: true } => Some(former),
            _ => None,
        }
    }

    /// The former transport has carried the last frame of its run.
    pub(super) fn end_run(&mut self) {
        if let State::Draining { run, .. } = &mut self.state {
            *run = false;
        }
    }

    /// The former transport is read to its end.
    pub(super) fn end_former(&mut self) {
        self.state = State::Idle;
    }

    /// Whether no upgrade is in progress and no packet of an upgrade waits to be sent.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.outbox.is_none()
    }

    pub(super) fn has_transmit(&self, via: Transport) -> bool {
        self.outbox.is_some_and(|(transport, _)| transport == via)
    }

    pub(super) fn poll_transmit(&mut self, via: Transport) -> Option<Frame> {
        let (_, kind) = self.outbox.take_if(|(transport, _)| *transport == via)?;
        Some(Frame::text(kind, if kind == PacketType::Upgrade { "" } else { PROBE }))
    }
}
