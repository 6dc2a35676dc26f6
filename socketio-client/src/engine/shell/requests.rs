//! The GETs and POSTs of a session.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use engineio_parser::{
    Data, OpenPacket, Packet, PacketType, Revision, Transport, payload, session::Input,
};

use super::{Engine, now};
use crate::engine::{error::EngineError, http::Body};

/// How often a server is asked that answers at once, and with nothing to tell. Node's does so during an upgrade.
const EMPTY_ANSWER: Duration = Duration::from_millis(100);

impl Engine {
    /// Whether a request was begun or answered.
    pub(super) fn poll_requests(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_post(cx) | self.poll_get(cx)
    }

    pub(super) fn poll_post(&mut self, cx: &mut Context<'_>) -> bool {
        let started = !self.post.is_busy() && self.start_post();
        match self.post.poll(cx) {
            Poll::Pending => return started,
            Poll::Ready(Ok(_)) => self.feed(Input::PushFinished),
            Poll::Ready(Err(error)) => {
                self.failed(EngineError::Posting(error));
                self.feed(Input::PushAborted);
            }
        }
        true
    }

    fn start_post(&mut self) -> bool {
        if !self.session.has_transmit(Transport::Polling)
            || self.session.handle_input(now(), Input::PushStarted).is_err()
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
        self.post.start(self.session.sid(), Some(body));
        true
    }

    fn poll_get(&mut self, cx: &mut Context<'_>) -> bool {
        let mut started = false;
        if self.reading
            && self.get.is_free(cx)
            && self.session.handle_input(now(), Input::PollStarted).is_ok()
        {
            self.get.start(self.session.sid(), None);
            started = true;
        }
        match self.get.poll(cx) {
            Poll::Pending => return started,
            Poll::Ready(Ok(body)) => self.on_body(body),
            Poll::Ready(Err(error)) => {
                self.failed(EngineError::Polling(error));
                self.feed(Input::PollAborted);
            }
        }
        true
    }

    fn on_body(&mut self, body: Body) {
        self.read_at = now();
        let opening = self.session.sid().is_empty();
        if opening && self.session.revision() == Revision::V4 && opens_revision_3(&body) {
            self.failed(EngineError::Unsupported);
            return self.feed(Input::PollAborted);
        }
        let mut told = opening;
        for packet in payload::decode(self.session.revision(), body.bytes, body.binary) {
            match packet {
                Ok(packet) => {
                    told |= packet.kind == PacketType::Message;
                    self.on_packet(Transport::Polling, packet);
                }
                Err(_) => self.feed(Input::Malformed(Transport::Polling)),
            }
        }
        if !told {
            self.get.pause(EMPTY_ANSWER);
        }
        self.feed(Input::PollFinished);
    }

    pub(super) fn on_packet(&mut self, via: Transport, packet: Packet) {
        self.pinged |= packet.kind == PacketType::Ping && via == self.session.transport();
        // The clock is slow beside a message, and those that came together came at one time. Deadlines are set by others.
        let at = match packet.kind {
            PacketType::Message => self.read_at,
            _ => now(),
        };
        let _ = self.session.handle_input(at, Input::Packet(via, packet));
    }

    /// What a client is told never breaks a rule of its own.
    pub(super) fn feed(&mut self, input: Input) {
        let _ = self.session.handle_input(now(), input);
    }
}

fn opens_revision_3(body: &Body) -> bool {
    let first = payload::decode(Revision::V3, body.bytes.clone(), body.binary).next();
    match first {
        Some(Ok(Packet { kind: PacketType::Open, data: Data::Text(text) })) => {
            OpenPacket::decode(&text).is_ok()
        }
        _ => false,
    }
}
