//! The session: the effect of each input, deadline and call on its parts.

mod end;
mod receive;
mod requests;
mod transmit;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytestring::ByteString;

use super::{
    config::Config,
    control::Controls,
    event::{CloseReason, Input, Output, Reading, Role, SendError, Unsent, Violation},
    heartbeat::Heartbeat,
    outputs::Outputs,
    polling::{Outgoing, Requests},
    queue::Queue,
    timer::{Timer, Timers},
    traffic::Traffic,
    upgrade::Upgrade,
};
use crate::{
    frame::Frame,
    frames::Frames,
    packed::{OutgoingMessage, PackedFrames, Refusal},
    packet::{PacketType, Revision, Transport},
};

/// One Engine.IO session, server or client. See the [module's page](crate::session) for how to
/// drive it.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    role: Role,
    revision: Revision,
    phase: Phase,
    transport: Transport,
    sid: ByteString,
    queue: Queue,
    controls: Controls,
    heartbeat: Heartbeat,
    upgrade: Upgrade,
    requests: Requests,
    timers: Timers,
    /// Server: whether a GET began while the session was closing.
    polled_while_closing: bool,
    /// The packet that an open or final polling request still carries after the end of the session.
    final_packet: Option<PacketType>,
    outputs: Outputs,
    /// Traffic since the last `take_traffic`.
    traffic: Traffic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Client: the handshake has not arrived.
    Opening,
    Open,
    /// The queue is still being sent. Then the session is over.
    Closing(CloseReason),
    Closed,
}

impl Session {
    /// Creates a server's session. It is open, and its first frame is the handshake. In revision 4
    /// the first ping is due one `ping_interval` after `now`; in revision 3 the client must ping.
    pub fn server(
        now: Instant,
        config: Arc<Config>,
        revision: Revision,
        transport: Transport,
        sid: ByteString,
    ) -> Self {
        let mut session = Self::new(config, Role::Server, revision, transport, sid, Phase::Open);
        session.controls.insert(PacketType::Open);
        session.heartbeat.start(now, &mut session.timers);
        session
    }

    /// Creates a client's session. It waits for the handshake, which brings the session id and the
    /// timings. No deadline runs until then; the shell decides how long to wait.
    pub fn client(
        _now: Instant,
        config: Arc<Config>,
        revision: Revision,
        transport: Transport,
    ) -> Self {
        Self::new(config, Role::Client, revision, transport, ByteString::new(), Phase::Opening)
    }

    fn new(
        config: Arc<Config>,
        role: Role,
        revision: Revision,
        transport: Transport,
        sid: ByteString,
        phase: Phase,
    ) -> Self {
        let heartbeat = Heartbeat::new(role, revision, config.clone());
        Self {
            config,
            role,
            revision,
            phase,
            transport,
            sid,
            queue: Queue::default(),
            controls: Controls::default(),
            heartbeat,
            upgrade: Upgrade::default(),
            requests: Requests::default(),
            timers: Timers::default(),
            polled_while_closing: false,
            final_packet: None,
            outputs: Outputs::default(),
            traffic: Traffic::default(),
        }
    }

    /// Processes an event. Events of a transport that the session does not use are ignored.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`], which tells the shell which error to send to the peer. Each variant
    /// says whether the session survives.
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Result<(), Violation> {
        let server = self.role == Role::Server;
        match input {
            Input::Packet(via, packet) => {
                self.traffic.received(&packet);
                self.on_packet(now, via, packet);
            }
            Input::Malformed(via) => self.on_malformed(via),
            Input::PollStarted if server => {
                self.start_outgoing(now)?;
                self.on_heard(now);
                self.on_request();
            }
            Input::PollStarted => return self.start_incoming(),
            Input::PushStarted if server => {
                self.start_incoming()?;
                self.on_heard(now);
                self.on_request();
            }
            Input::PushStarted => return self.start_outgoing(now),
            Input::PollFinished => {
                self.end_request(server);
                self.await_request(now);
            }
            Input::PushFinished => {
                self.end_request(!server);
                self.await_request(now);
            }
            Input::PollAborted => self.abort_request(now, server),
            Input::PushAborted => self.abort_request(now, !server),
            Input::ProbeStarted(via) => return self.start_probe(now, via),
            Input::Lost(via, loss) => self.on_lost(now, via, loss),
        }
        Ok(())
    }

    /// Processes the deadlines that have passed. Does nothing if there are none.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Ping => {
                    self.controls.insert(self.heartbeat.packet());
                    self.heartbeat.on_ping_due(now, &mut self.timers);
                    self.queue.release();
                }
                Timer::Silence => self.fail(CloseReason::PingTimeout),
                Timer::Upgrade => self.on_upgrade_timeout(now),
                Timer::Noop => self.requests.end_with_noop(),
                // A closing session keeps the reason of its close.
                Timer::Close => self.fail(CloseReason::TransportError),
            }
        }
    }

    /// Reports that the machine slept for `slept` while the clock of the deadlines stood still (see
    /// [`Clock`](super::Clock)). For a shell with many sessions, such as a server.
    ///
    /// The next ping of this end is due earlier by that much, so that a peer that is still there
    /// hears from it in time, and a peer that is gone is noticed after one
    /// [`Config::ping_timeout`]. No deadline of the peer moves: a wall clock that was set forward
    /// costs a ping, and never a session. Does nothing on the end that sends no pings, such as a
    /// server of revision 3. The ping itself comes with [`handle_timeout`](Self::handle_timeout).
    pub fn handle_sleep(&mut self, now: Instant, slept: Duration) {
        if self.heartbeat.pings() {
            self.timers.bring_forward(Timer::Ping, now, slept);
        }
    }

    /// Queues a run of frames. Runs leave complete and in the order of the calls, on every
    /// transport. While the queue [has room](Self::has_room) it accepts a run of any size, and
    /// afterwards each run that fits ([`Config::max_queued_packets`],
    /// [`Config::max_queued_bytes`]).
    ///
    /// # Errors
    ///
    /// Returns the frames if the queue is full or the session is closing.
    pub fn send(&mut self, frames: Frames) -> Result<(), SendError> {
        let message = frames.into();
        match self.refusal(&message) {
            None => self.queue.push(message),
            Some(Refusal::Full) => return Err(SendError::Full(message.into_frames())),
            Some(Refusal::Closed) => return Err(SendError::Closed(message.into_frames())),
        }
        Ok(())
    }

    /// Queues a message in any form, like [`send`](Self::send). A message that is refused is
    /// dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue is full or the session is closing.
    #[doc(hidden)]
    #[inline(always)]
    pub fn send_message(&mut self, message: OutgoingMessage<'_>) -> Result<(), Refusal> {
        match self.refusal(&message) {
            None => self.queue.push(message),
            Some(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// Returns the reason to refuse a message, if there is one.
    #[inline]
    fn refusal(&self, message: &OutgoingMessage<'_>) -> Option<Refusal> {
        let Config { max_queued_packets, max_queued_bytes, .. } = *self.config;
        match self.phase {
            Phase::Closing(_) | Phase::Closed => Some(Refusal::Closed),
            _ if self.queue.accepts(message, max_queued_packets, max_queued_bytes) => None,
            _ => Some(Refusal::Full),
        }
    }

    /// Queues a run of frames only if the queue [has room](Self::has_room). For acks and other
    /// replies, which leave the rest of the queue to events.
    ///
    /// # Errors
    ///
    /// Returns the frames if more than half of the queue is full or the session is closing.
    pub fn send_if_room(&mut self, frames: Frames) -> Result<(), SendError> {
        match self.phase {
            Phase::Opening | Phase::Open if !self.has_room() => Err(SendError::Full(frames)),
            _ => self.send(frames),
        }
    }

    /// Sends a run of frames only if it [can leave at once](Self::is_writable). Returns whether it
    /// was accepted.
    pub fn send_volatile(&mut self, frames: Frames) -> bool {
        self.is_writable() && self.send(frames).is_ok()
    }

    /// Ends the session for a reason of this end.
    ///
    /// With [`Unsent::Send`], queued frames leave first. On polling a close packet follows in a
    /// request of its own. On a message transport the shell's close frame
    /// takes the place of the close packet. `Output::Closed` comes when all frames have left, or
    /// after 30 s (see [`close_within`](Self::close_within)). Messages that arrive in the meantime
    /// are ignored.
    ///
    /// With [`Unsent::Discard`] the session is over at once. A waiting GET still gets a close
    /// packet.
    pub fn close(&mut self, now: Instant, reason: CloseReason, unsent: Unsent) {
        match self.phase {
            Phase::Closed => {}
            Phase::Opening => self.finish(reason),
            Phase::Open if unsent == Unsent::Send => self.start_closing(now, reason),
            Phase::Closing(_) if unsent == Unsent::Send => {}
            Phase::Open | Phase::Closing(_) => self.fail(reason),
        }
    }

    /// Bounds how long a closing session waits for its queue to leave (default 30 s). Does nothing
    /// if the session is not closing.
    pub fn close_within(&mut self, now: Instant, timeout: Duration) {
        if self.is_closing() {
            self.timers.set(Timer::Close, now, timeout);
        }
    }

    /// Returns the next frame to transmit on this transport. `None` means that the transport must
    /// wait, or that its request is complete.
    ///
    /// On polling, frames are only given to an open request (server: a GET, client: a POST).
    /// `budget` is the rest of the payload in bytes, counted as [`Frame::polling_len`]. The first
    /// frame of each request ignores the budget, because a frame larger than the budget would never
    /// leave otherwise. On message transports the budget has no effect.
    #[inline]
    pub fn poll_transmit(&mut self, via: Transport, budget: usize) -> Option<Frame> {
        // Inlined, because most calls find no frame.
        let may_finish = self.is_closing();
        if self.upgrade.is_idle() && via != Transport::Polling && !self.has_frames() && !may_finish
        {
            return None;
        }
        self.take_transmit(via, budget)
    }

    fn take_transmit(&mut self, via: Transport, budget: usize) -> Option<Frame> {
        let frame = if let Some(frame) = self.upgrade.poll_transmit(via) {
            // A client goes on only after its GET has ended. A noop that overtook the `3probe`
            // would make it poll again.
            if self.upgrade.answered() {
                self.requests.end_with_noop();
            }
            Some(frame)
        } else if let Some(former) = self.upgrade.run_via() {
            if via == former { self.poll_run() } else { None }
        } else if via == Transport::Polling {
            self.poll_request(budget)
        } else if via == self.transport {
            self.next_frame(usize::MAX)
        } else {
            None
        };
        self.finish_if_drained();
        if let Some(frame) = &frame {
            self.traffic.sent(1, frame.len());
        }
        frame
    }

    /// Sets whether small text messages are packed from now on (default: no), which is faster. A
    /// shell sets it while it writes them to a WebSocket as they are, and then calls
    /// [`poll_packed`](Self::poll_packed) before each [`poll_transmit`](Self::poll_transmit).
    #[doc(hidden)]
    pub fn pack(&mut self, pack: bool) {
        self.queue.pack(pack);
    }

    /// Returns the next messages to transmit on this transport, if they are packed.
    #[doc(hidden)]
    #[inline]
    pub fn poll_packed(&mut self, via: Transport) -> Option<PackedFrames> {
        if self.queue.is_packed() { self.take_packed(via) } else { None }
    }

    fn take_packed(&mut self, via: Transport) -> Option<PackedFrames> {
        let websocket = via == self.transport && via == Transport::WebSocket;
        let precedes = !self.controls.is_empty() || self.upgrade.has_transmit(via);
        if !websocket || !self.is_live() || precedes {
            return None;
        }
        let packed = self.queue.pop_packed()?;
        self.finish_if_drained();
        self.traffic.sent(packed.count(), packed.payload_len());
        Some(packed)
    }

    /// Returns whether there is a frame to transmit. Server: whether
    /// [`poll_transmit`](Self::poll_transmit) would give one; a GET waits until then. Client on
    /// polling: whether a POST is worth making.
    #[inline]
    pub fn has_transmit(&self, via: Transport) -> bool {
        if self.upgrade.is_idle() && via != Transport::Polling {
            return via == self.transport && self.has_frames();
        }
        self.has_upgrade_transmit(via)
    }

    /// See [`has_transmit`](Self::has_transmit). For polling, and all transports during an
    /// upgrade.
    fn has_upgrade_transmit(&self, via: Transport) -> bool {
        if self.upgrade.has_transmit(via) {
            return true;
        }
        if let Some(former) = self.upgrade.run_via() {
            return via == former && self.has_frames();
        }
        if via != Transport::Polling {
            return via == self.transport && self.has_frames();
        }
        let has_request = match self.requests.out() {
            Outgoing::Waiting | Outgoing::Filling | Outgoing::Ending => true,
            Outgoing::None => self.role == Role::Client,
            Outgoing::Full | Outgoing::Failed => false,
        };
        has_request
            && (self.final_packet.is_some()
                || self.requests.noop_due()
                || self.is_polling() && (self.has_frames() || self.is_closing()))
    }

    /// Returns whether a frame sent now leaves at once: the session is open, nothing is queued and,
    /// on polling, a request can carry the frame (server: a GET waits; client: no POST is in
    /// flight).
    pub fn is_writable(&self) -> bool {
        self.is_open()
            && self.queue.is_empty()
            && (self.transport != Transport::Polling
                || match self.role {
                    Role::Server => self.requests.out() == Outgoing::Waiting,
                    Role::Client => {
                        self.requests.out() == Outgoing::None && !self.upgrade.pausing()
                    }
                })
    }

    /// Returns whether at least half of the queue is free. After [`SendError::Full`], a sender
    /// should wait for this.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.queue.has_room(self.config.max_queued_packets, self.config.max_queued_bytes)
    }

    /// Returns whether [`poll_output`](Self::poll_output) would return an output.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Returns the next action for the shell, or news for the application.
    #[inline]
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() { None } else { self.outputs.pop() }
    }

    /// Takes all outputs, for a shell that locks the session less often than for each message. It
    /// takes only [messages](Outputs::pop_message) from them, and [restores](Self::restore_outputs)
    /// the rest before it polls the next output.
    #[doc(hidden)]
    #[inline]
    pub fn take_outputs(&mut self) -> Outputs {
        std::mem::take(&mut self.outputs)
    }

    /// Puts back what [`take_outputs`](Self::take_outputs) took.
    #[doc(hidden)]
    #[inline]
    pub fn restore_outputs(&mut self, outputs: Outputs) {
        self.outputs.prepend(outputs);
    }

    /// Returns the time of the next call of [`handle_timeout`](Self::handle_timeout). Every other
    /// call may change it.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Takes the next output that is not a message, even if messages precede it. For a shell
    /// whose application currently accepts no messages. Once the session [is
    /// closed](Self::is_closed), use [`poll_output`](Self::poll_output).
    pub fn poll_control_output(&mut self) -> Option<Output> {
        self.outputs.pop_event()
    }

    /// Tells the session how much the shell reads from now on (default [`Reading::Open`]). For a
    /// polling server that accepts no messages, use [`Reading::Watched`], because it still sees the
    /// client's requests.
    pub fn set_reading(&mut self, now: Instant, reading: Reading) {
        if self.phase == Phase::Open {
            self.heartbeat.set_reading(now, reading, &mut self.timers);
        }
    }

    /// Reports that something has arrived that was not passed to the session yet, which shows that
    /// the peer is alive. Has no effect with [`Reading::Open`]. A server of revision 3 answers with
    /// a pong, because the data may contain a ping.
    pub fn heard(&mut self, now: Instant) {
        if self.phase != Phase::Open {
            return;
        }
        if !self.heartbeat.pings()
            && self.role == Role::Server
            && self.transport != Transport::Polling
            && self.heartbeat.reading() != Reading::Open
        {
            self.controls.insert(PacketType::Pong);
        }
        self.on_heard(now);
    }

    fn on_heard(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            let sent = !self.controls.contains(PacketType::Ping);
            self.heartbeat.on_heard(now, sent, &mut self.timers);
        }
    }

    /// Returns the transport in use. During an upgrade this is still the former one.
    #[inline]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns the protocol revision.
    #[inline]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the session id. A client's is empty until the handshake has arrived.
    pub fn sid(&self) -> &ByteString {
        &self.sid
    }

    /// Returns whether messages can be exchanged: the handshake is done and the session is not
    /// closing.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Returns whether the session is over. A closing session is neither open nor closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Returns whether a second transport is being probed.
    pub fn is_upgrading(&self) -> bool {
        self.upgrade.via().is_some()
    }

    /// Returns the message transport that the session has left, until its end is reported
    /// ([`Input::Lost`]). The shell reports no packet of the new transport before.
    #[inline]
    pub fn former_transport(&self) -> Option<Transport> {
        self.upgrade.former()
    }

    /// Returns the number of the application's packets that wait to be sent.
    pub fn queued_packets(&self) -> usize {
        self.queue.packets()
    }

    /// Returns the payload bytes of the application that wait to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Takes the traffic since the last call. The shell adds it up over all sessions.
    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    #[inline]
    fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing(_))
    }

    #[inline]
    fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn an_idle_session_releases_its_memory_with_its_next_ping() {
        for revision in [Revision::V3, Revision::V4] {
            let config = Arc::new(Config::default());
            let mut now = Instant::now();
            let via = Transport::WebSocket;
            let mut session = Session::server(now, config, revision, via, "sid".into());
            session.send(Frame::text(PacketType::Message, "a").into()).unwrap();
            while session.poll_transmit(via, usize::MAX).is_some() {}
            assert!(!session.queue.is_released());

            now += Duration::from_secs(25);
            session.handle_timeout(now);
            if revision == Revision::V3 {
                let ping = Packet::text(PacketType::Ping, "");
                session.handle_input(now, Input::Packet(via, ping)).unwrap();
            }
            assert!(session.queue.is_released());
        }
    }
}
