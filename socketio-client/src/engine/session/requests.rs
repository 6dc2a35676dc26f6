//! The GET and POST requests of a session.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{Packet, PacketType, Transport, payload, session::Input};

use super::Engine;
use crate::engine::{
    error::EngineError,
    http::{Body, BodyError},
};

/// The shortest interval of GETs while the server responds without a message. Node's server does so
/// during an upgrade.
const EMPTY_POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Engine {
    /// Polls the POST. Returns whether it has started or finished.
    pub(super) fn poll_post(&mut self, cx: &mut Context<'_>) -> bool {
        let started = !self.post.is_busy() && self.start_post();
        match self.post.poll(cx) {
            Poll::Pending => return started,
            Poll::Ready(Ok(stream)) => {
                self.post.keep(stream);
                self.unconfirmed &= self.session.queued_packets() > 0;
                self.feed(Input::PushFinished);
            }
            Poll::Ready(Err(error)) => {
                self.failed(EngineError::Posting(error));
                self.feed(Input::PushAborted);
            }
        }
        true
    }

    fn start_post(&mut self) -> bool {
        if !self.session.has_transmit(Transport::Polling)
            || self.session.handle_input(self.now(), Input::PushStarted).is_err()
        {
            return false;
        }
        let (revision, b64) = (self.session.revision(), self.shared.options.force_base64);
        let mut left = self.max_post;
        let mut frames = Vec::new();
        while let Some(frame) = self.session.poll_transmit(Transport::Polling, left) {
            left = left.saturating_sub(payload::encoded_len(&frame, revision, b64));
            frames.push(frame);
        }
        let body = payload::encode(revision, b64, &frames);
        self.post.start(self.session.sid(), body);
        true
    }

    /// Polls the GET. Returns whether it has started, or whether anything was read.
    pub(super) fn poll_get(&mut self, cx: &mut Context<'_>) -> bool {
        if self.body.is_some() {
            return self.poll_body(cx);
        }
        let mut started = false;
        if self.session.transport() == Transport::Polling
            && self.may_read(0)
            && self.get.is_free(cx)
            && self.session.handle_input(self.now(), Input::PollStarted).is_ok()
        {
            self.get.start(self.session.sid());
            started = true;
        }
        match self.get.poll(cx) {
            Poll::Pending => return started,
            Poll::Ready(Ok(body)) => {
                self.on_response(body);
                self.poll_body(cx);
            }
            Poll::Ready(Err(error)) => {
                self.failed(EngineError::Polling(error));
                self.feed(Input::PollAborted);
            }
        }
        true
    }

    fn on_response(&mut self, body: Body) {
        let (revision, limit) = (self.session.revision(), self.shared.options.max_payload);
        let opening = self.session.sid().is_empty();
        self.had_message = opening;
        self.body = Some(match opening {
            true => body.of_handshake(revision, limit),
            false => body.of_session(revision, limit),
        });
    }

    /// Reads the next packet of the GET response. Returns whether there was one, or the end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.may_read(0) {
            return false;
        }
        let Some(body) = &mut self.body else { return false };
        let packet = body.poll_packet(cx);
        if body.take_filled() {
            self.note_arrival();
        }
        match packet {
            Poll::Pending => return false,
            Poll::Ready(Ok(Some(packet))) => {
                self.had_message |= packet.kind == PacketType::Message;
                self.on_packet(Transport::Polling, packet);
                return true;
            }
            Poll::Ready(Ok(None)) => {
                if let Some(body) = self.body.take() {
                    self.get.keep(body.into_stream(cx));
                }
                if !self.had_message {
                    self.get.pause(EMPTY_POLL_INTERVAL);
                }
                self.feed(Input::PollFinished);
            }
            Poll::Ready(Err(BodyError::Malformed)) => {
                self.feed(Input::Malformed(Transport::Polling));
                self.feed(Input::PollFinished);
            }
            Poll::Ready(Err(BodyError::Failed(error))) => {
                self.failed(error);
                self.feed(Input::PollAborted);
            }
        }
        self.body = None;
        true
    }

    pub(super) fn on_packet(&mut self, via: Transport, packet: Packet) {
        self.pinged |= packet.kind == PacketType::Ping && via == self.session.transport();
        // Reading the clock is slow compared to a message, so messages share the time of the last
        // read. Packets of other kinds set the deadlines. If the machine has slept, a deadline by
        // the old clock would have passed already.
        let at = match packet.kind {
            PacketType::Message => self.clock.now(self.read_at),
            _ => {
                self.compare_clocks();
                self.now()
            }
        };
        let _ = self.session.handle_input(at, Input::Packet(via, packet));
    }

    /// Passes an input to the session. Inputs made by this client cannot break the protocol.
    pub(super) fn feed(&mut self, input: Input) {
        let _ = self.session.handle_input(self.now(), input);
    }
}
