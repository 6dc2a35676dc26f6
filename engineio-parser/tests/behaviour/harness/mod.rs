//! One session with a virtual clock, and short methods for the events that a test feeds into it.

// Each test file uses only some of these, and `unwrap` states what a test expects.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engineio_parser::{
    Frame, Frames, Packet, PacketData, PacketType, Revision,
    Transport::{self, Polling, WebSocket},
    session::{CloseReason, Config, Input, Output, Reading, Session, Unsent, Violation},
};

/// The timings of every session in these tests, in milliseconds.
pub(crate) const PING_INTERVAL: u64 = 300;
pub(crate) const PING_TIMEOUT: u64 = 200;
pub(crate) const UPGRADE_TIMEOUT: u64 = 1000;

pub(crate) struct Harness {
    pub(crate) session: Session,
    now: Instant,
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(PING_INTERVAL);
    config.ping_timeout = Duration::from_millis(PING_TIMEOUT);
    config.upgrade_timeout = Duration::from_millis(UPGRADE_TIMEOUT);
    config
}

impl Harness {
    /// A server of revision 4 that has sent its handshake.
    pub(crate) fn server(transport: Transport) -> Self {
        Self::server_with(config(), Revision::V4, transport)
    }

    pub(crate) fn server_with(config: Config, revision: Revision, transport: Transport) -> Self {
        let now = Instant::now();
        let session = Session::server(now, Arc::new(config), revision, transport, "sid".into());
        let mut harness = Self { session, now };
        let handshake = match transport {
            Polling => harness.get(),
            _ => harness.transmit(transport),
        };
        assert!(handshake.len() == 1 && handshake[0].starts_with("0{"), "{handshake:?}");
        harness
    }

    /// A client of revision 4 that has received its handshake.
    pub(crate) fn client(transport: Transport) -> Self {
        Self::client_with(Revision::V4, transport)
    }

    pub(crate) fn client_with(revision: Revision, transport: Transport) -> Self {
        let mut client = Self::opening_client(revision, transport);
        client.receive(
            transport,
            r#"0{"sid":"sid","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":100}"#,
        );
        assert!(matches!(client.outputs()[..], [Output::Opened(_)]));
        client
    }

    pub(crate) fn opening_client(revision: Revision, transport: Transport) -> Self {
        let now = Instant::now();
        Self { session: Session::client(now, Arc::new(config()), revision, transport), now }
    }

    /// Receives a packet, given as its digit and its text.
    pub(crate) fn receive(&mut self, via: Transport, packet: &str) {
        let kind = PacketType::from_digit(packet.as_bytes()[0]).unwrap();
        let packet = Packet { kind, data: PacketData::Text(packet[1..].into()) };
        self.input(Input::Packet(via, packet)).unwrap();
    }

    pub(crate) fn input(&mut self, input: Input) -> Result<(), Violation> {
        self.session.handle_input(self.now, input)
    }

    pub(crate) fn accept(&mut self, input: Input) {
        self.input(input).unwrap();
    }

    /// Lets time pass. Calls `handle_timeout` at the exact instant of each deadline.
    pub(crate) fn advance(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.session.handle_timeout(at);
        }
        self.now = end;
    }

    /// Tells the session that the machine slept.
    pub(crate) fn sleep(&mut self, millis: u64) {
        self.session.handle_sleep(self.now, Duration::from_millis(millis));
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.session.send(message(text)).unwrap();
    }

    pub(crate) fn close(&mut self, unsent: Unsent) {
        self.session.close(self.now, CloseReason::ForcedClose, unsent);
    }

    pub(crate) fn close_within(&mut self, millis: u64) {
        self.session.close_within(self.now, Duration::from_millis(millis));
    }

    pub(crate) fn set_reading(&mut self, reading: Reading) {
        self.session.set_reading(self.now, reading);
    }

    pub(crate) fn heard(&mut self) {
        self.session.heard(self.now);
    }

    /// Transmits all frames that can leave now.
    pub(crate) fn transmit(&mut self, via: Transport) -> Vec<String> {
        self.transmit_within(via, usize::MAX)
    }

    pub(crate) fn transmit_within(&mut self, via: Transport, budget: usize) -> Vec<String> {
        let mut left = budget;
        let mut texts = Vec::new();
        while let Some(frame) = self.session.poll_transmit(via, left) {
            left = left.saturating_sub(frame.polling_len(self.session.revision()));
            texts.push(text_of(&frame));
        }
        texts
    }

    /// Server: starts a GET and returns its response. Empty if there are no frames and the GET
    /// still waits.
    pub(crate) fn get(&mut self) -> Vec<String> {
        self.accept(Input::PollStarted);
        self.answer_get()
    }

    /// Server: returns the response to the waiting GET. Empty if it still waits.
    pub(crate) fn answer_get(&mut self) -> Vec<String> {
        let promised = self.session.has_transmit(Polling);
        let texts = self.transmit(Polling);
        assert_eq!(promised, !texts.is_empty());
        if promised {
            self.accept(Input::PollFinished);
        }
        texts
    }

    /// Client: makes a POST of all frames that can leave now, and finishes it at once.
    pub(crate) fn post(&mut self) -> Vec<String> {
        self.accept(Input::PushStarted);
        let texts = self.transmit(Polling);
        self.accept(Input::PushFinished);
        texts
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    pub(crate) fn close_reason(&mut self) -> Option<CloseReason> {
        self.outputs().into_iter().find_map(|output| match output {
            Output::Closed(reason) => Some(reason),
            _ => None,
        })
    }

    /// Server: receives and answers a probe.
    pub(crate) fn probe(&mut self) {
        self.accept(Input::ProbeStarted(WebSocket));
        self.receive(WebSocket, "2probe");
        assert_eq!(self.transmit(WebSocket), ["3probe"]);
    }
}

pub(crate) fn message(text: &str) -> Frames {
    Frame::text(PacketType::Message, text).into()
}

pub(crate) fn with_attachments(text: &str, attachments: &[&'static str]) -> Frames {
    let attachments = attachments.iter().map(|data| Bytes::from_static(data.as_bytes()));
    Frames::new(Frame::text(PacketType::Message, text), attachments)
}

pub(crate) fn received(text: &str) -> Output {
    Output::Message(PacketData::Text(text.into()))
}

fn text_of(frame: &Frame) -> String {
    String::from_utf8(frame.payload().to_vec()).unwrap()
}
