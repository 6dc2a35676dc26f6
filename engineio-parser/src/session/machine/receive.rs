//! Packets and failures that a transport reports.

use std::time::Instant;

use super::{Phase, Session};
use crate::{
    handshake::OpenPacket,
    packet::{Packet, PacketData, PacketType, Transport},
    session::{
        event::{CloseReason, Loss, Output, Role},
        polling::NOOP_AFTER,
        timer::Timer,
        upgrade::Step,
    },
};

impl Session {
    pub(super) fn on_packet(&mut self, now: Instant, via: Transport, packet: Packet) {
        if self.upgrade.via() == Some(via) {
            return self.on_probe_packet(now, via, &packet);
        }
        if !self.listens_to(via) {
            return;
        }
        match (self.phase, packet.kind) {
            (Phase::Closed, _) => {}
            // On a WebSocket, a client closes with a close frame. A server ignores its close
            // packet, as Node's server does.
            (_, PacketType::Close) if via == Transport::Polling || self.role == Role::Client => {
                self.fail(CloseReason::TransportClose);
            }
            (Phase::Opening, PacketType::Open) => self.on_handshake(now, &packet.data),
            (Phase::Open, kind) => {
                if kind != PacketType::Pong {
                    self.heartbeat.on_traffic(now, &mut self.timers);
                }
                match kind {
                    PacketType::Message => self.outputs.push(Output::Message(packet.data)),
                    PacketType::Ping => self.on_ping(now),
                    PacketType::Pong => self.on_pong(now),
                    _ => {}
                }
            }
            (Phase::Opening | Phase::Closing(_), _) => {}
        }
    }

    fn on_handshake(&mut self, now: Instant, data: &PacketData) {
        let PacketData::Text(text) = data else {
            return self.fail(CloseReason::ParseError);
        };
        // Without a session id every request would open another session.
        let Some(open) = OpenPacket::decode(text).ok().filter(|open| !open.sid.is_empty()) else {
            return self.fail(CloseReason::ParseError);
        };
        self.phase = Phase::Open;
        self.sid = open.sid.clone();
        self.heartbeat.set_timings(open.ping_interval, open.ping_timeout);
        self.heartbeat.start(now, &mut self.timers);
        self.outputs.push(Output::Opened(Box::new(open)));
    }

    fn on_ping(&mut self, now: Instant) {
        if !self.heartbeat.pings() {
            self.controls.insert(PacketType::Pong);
            self.heartbeat.await_peer(now, &mut self.timers);
            self.queue.release();
        } else if self.role == Role::Server {
            self.fail(CloseReason::TransportError);
        }
    }

    fn on_pong(&mut self, now: Instant) {
        if self.heartbeat.pings() {
            // A pong that precedes the ping cannot answer it.
            if !self.controls.contains(PacketType::Ping) {
                self.heartbeat.on_pong(now, &mut self.timers);
            }
        } else if self.role == Role::Server {
            self.fail(CloseReason::TransportError);
        }
    }

    pub(super) fn on_malformed(&mut self, via: Transport) {
        if self.upgrade.via() == Some(via) {
            self.drop_probe();
        } else if self.listens_to(via) {
            self.fail(CloseReason::ParseError);
        }
    }

    pub(super) fn on_lost(&mut self, now: Instant, via: Transport, loss: Loss) {
        if self.upgrade.via() == Some(via) {
            let answered = self.upgrade.answered() && !self.upgrade.has_transmit(via);
            self.drop_probe();
            if answered && self.transport == Transport::Polling {
                self.upgrade.expect_request();
                self.await_request(now);
            }
        } else if self.upgrade.former() == Some(via)
            && self.upgrade.run_via().is_none()
            && loss == Loss::Closed
        {
            self.timers.clear(Timer::Upgrade);
            self.upgrade.end_former();
        } else if self.upgrade.former() == Some(via) || via == self.transport {
            self.fail(match loss {
                Loss::Closed => CloseReason::TransportClose,
                Loss::Failed => CloseReason::TransportError,
            });
        }
    }

    fn on_probe_packet(&mut self, now: Instant, via: Transport, packet: &Packet) {
        match self.upgrade.on_packet(self.role, packet) {
            Step::Answer if self.transport == Transport::Polling => {
                self.timers.set(Timer::Noop, now, NOOP_AFTER);
            }
            Step::Answer => {}
            Step::Pause => self.switch_if_paused(),
            Step::Switch => self.switch(via),
            Step::Fail => self.drop_probe(),
        }
        if self.upgrade.former().is_some() {
            self.timers.set(Timer::Upgrade, now, self.config.upgrade_timeout);
        }
    }

    /// Returns whether packets on this transport count. Packets of a POST that began before an
    /// upgrade and ends after it do, and so do those of a former message transport.
    fn listens_to(&self, via: Transport) -> bool {
        via == self.transport
            || via == Transport::Polling && self.requests.incoming()
            || self.upgrade.former() == Some(via)
    }
}
