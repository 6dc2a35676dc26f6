//! The frames that leave, and the request that carries them.

use super::{Phase, Session};
use crate::{
    frame::Frame,
    handshake::OpenPacket,
    packet::{PacketType, Transport},
    session::{event::CloseReason, polling::Outgoing},
};

impl Session {
    pub(super) fn poll_request(&mut self, budget: usize) -> Option<Frame> {
        let (first, messages) = match self.requests.out() {
            Outgoing::Waiting => (true, false),
            Outgoing::Filling => (false, true),
            Outgoing::Ending => (false, false),
            Outgoing::None | Outgoing::Full | Outgoing::Failed => return None,
        };
        let budget = if first { usize::MAX } else { budget };
        if self.is_polling() {
            if let Some(frame) = self.next_frame(budget) {
                self.requests.set_out(Outgoing::Filling);
                return Some(frame);
            }
            // The close packet has a payload of its own, because Node's server and client dispatch
            // messages only after they have read the complete payload. The server would drop events
            // in the same payload. The JavaScript client would take a DISCONNECT in it for a lost
            // connection.
            if let Phase::Closing(reason) = self.phase
                && !self.has_frames()
                && !messages
            {
                return Some(self.poll_close(reason, first));
            }
        }
        let noop = self.requests.noop_due().then_some(PacketType::Noop);
        let last = if first { self.final_packet.take().or(noop) } else { None };
        if last.is_some() || !first {
            self.requests.set_out(Outgoing::Full);
        }
        last.map(|kind| Frame::text(kind, ""))
    }

    /// Ends a closing session on polling. A GET that began after the close first gets a noop, as in
    /// Node.
    fn poll_close(&mut self, reason: CloseReason, first: bool) -> Frame {
        if first && self.polled_while_closing {
            self.requests.set_out(Outgoing::Ending);
            return Frame::text(PacketType::Noop, "");
        }
        self.requests.set_out(Outgoing::Full);
        self.finish(reason);
        Frame::text(PacketType::Close, "")
    }

    /// The next frame. Control packets precede the application's packets, but never interrupt a
    /// run.
    pub(super) fn next_frame(&mut self, budget: usize) -> Option<Frame> {
        if !self.is_live() {
            return None;
        }
        if budget > 0
            && !self.queue.in_run()
            && let Some(kind) = self.controls.pop()
        {
            return Some(match kind {
                PacketType::Open => self.handshake().encode(),
                kind => Frame::text(kind, ""),
            });
        }
        if self.queue.is_empty()
            || budget < usize::MAX && self.queue.next_polling_len(self.revision)? > budget
        {
            return None;
        }
        self.queue.pop()
    }

    /// The next frame of the run that the former transport has begun.
    pub(super) fn poll_run(&mut self) -> Option<Frame> {
        let frame = if self.is_live() { self.queue.pop() } else { None };
        if !self.queue.in_run() {
            self.upgrade.end_run();
        }
        frame
    }

    fn handshake(&self) -> OpenPacket {
        let upgrades = match self.transport {
            Transport::Polling => self.config.upgrades.clone(),
            _ => Vec::new(),
        };
        OpenPacket {
            sid: self.sid.clone(),
            upgrades,
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            max_payload: Some(self.config.max_payload as u64),
        }
    }

    #[inline]
    pub(super) fn has_frames(&self) -> bool {
        self.is_live() && !(self.queue.is_empty() && self.controls.is_empty())
    }

    /// Whether polling requests carry the queue.
    pub(super) fn is_polling(&self) -> bool {
        self.is_live() && self.transport == Transport::Polling && !self.upgrade.pausing()
    }
}
