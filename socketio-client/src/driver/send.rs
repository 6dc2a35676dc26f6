//! Sends the packets of the namespaces, and delivers acks to their waiters.

use std::task::Context;

use engineio_parser::Frames;
use socketio_parser::{AckRefused, Connection, Nsp};

use super::{Driver, Link, Namespace, Phase};
use crate::{
    engine::{Engine, Order},
    error::{AckError, EmitError},
    socket::{AckResult, Awaited, Outgoing, Waiter},
    time::now,
};

impl Driver {
    /// Sends queued packets. Returns whether there may have been any.
    pub(super) fn flush(&mut self) -> bool {
        if !std::mem::take(&mut self.changes.packets) {
            return false;
        }
        if self.has_expired() {
            return true;
        }
        let mut progressed = false;
        for index in 0..self.namespaces.len() {
            progressed |= self.flush_namespace(index);
        }
        progressed
    }

    /// Returns whether the open session has outlived its heartbeat. If so, queued packets wait for
    /// the next connection, and volatile events are dropped.
    pub(super) fn has_expired(&mut self) -> bool {
        let Link::Open(engine) = &mut self.link else { return false };
        if engine.is_alive() {
            return false;
        }
        for namespace in &self.namespaces {
            namespace.slot.drop_volatile();
        }
        true
    }

    /// Writes sent packets to the transport. Returns whether nothing remains to be done for them.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.link {
            // A write may make room for packets that did not fit before.
            Link::Open(engine) => engine.poll_sent(cx) && !self.changes.packets,
            _ => false,
        }
    }

    /// Sends the packets of a namespace that is being left, regardless of the limits of the
    /// session's queue, because they must not leave over another connection. Their acks fail.
    pub(super) fn send_remaining(&mut self, index: usize) {
        let Some(namespace) = self.namespaces.get(index) else { return };
        let slot = namespace.slot.clone();
        let mut failed = Vec::new();
        if let Link::Open(engine) = &mut self.link
            && matches!(namespace.phase, Phase::Joined)
        {
            let writable = engine.is_writable();
            slot.send(|Outgoing { frames, ack, volatile, .. }, late| {
                let mut error = AckError::Disconnected;
                if let Err(limit) = engine.check_size(&frames) {
                    error = EmitError::TooLarge { limit }.into();
                } else if !late && (writable || !volatile) {
                    engine.send_unbounded(frames, Order::InOrder);
                }
                failed.push((ack.map(|ack| ack.waiter), error));
                None
            });
        }
        slot.end_connection();
        self.fail(slot.nsp(), failed);
    }

    pub(super) fn flush_namespace(&mut self, index: usize) -> bool {
        let Self { namespaces, link: Link::Open(engine), machine, changes, .. } = self else {
            return false;
        };
        let Some(Namespace { slot, phase: Phase::Joined, .. }) = namespaces.get(index) else {
            return false;
        };
        let mut unsent = Vec::new();
        let progressed = slot.send(|packet, late| {
            match transmit(engine, machine, slot.nsp(), packet, late) {
                Sent::Done => {}
                Sent::Dropped(waiter, error) => unsent.push((waiter, error)),
                Sent::Full(packet) => {
                    changes.packets = true;
                    return Some(packet);
                }
            }
            None
        });
        if !unsent.is_empty() {
            let nsp = slot.nsp().clone();
            self.fail(&nsp, unsent);
        }
        progressed
    }

    /// Fails the acks of packets, and logs those that were too large. Either they were queued
    /// before the server's limit was known, or their base64 form exceeds the limit. Wakers and the
    /// log run user code, so no lock may be held.
    fn fail(&mut self, nsp: &Nsp, unsent: Vec<(Option<Waiter>, AckError)>) {
        for (waiter, error) in unsent {
            if let AckError::Emit(error) = &error {
                tracing::error!(target: "socketio::client", %nsp, %error, "an event was dropped");
            }
            if let Some(waiter) = waiter {
                self.deliver_ack(waiter, Err(error));
            }
        }
    }

    /// Sends a control packet, which the session's limits do not apply to. If the session's queue
    /// is full, the packet waits before all others.
    pub(super) fn send_control(&mut self, frames: Frames, order: Order) {
        if let Link::Open(engine) = &mut self.link {
            engine.send_unbounded(frames, order);
            self.changes.packets = true;
        }
    }

    /// Delivers an ack, or its error, to its waiter.
    pub(super) fn deliver_ack(&mut self, waiter: Waiter, ack: AckResult) {
        match waiter {
            // The caller may have stopped waiting.
            Waiter::Caller(sender) => drop(sender.send(ack)),
            Waiter::Retries { nsp, .. } => {
                let Some(namespace) = self.find(&nsp).and_then(|at| self.namespaces.get(at)) else {
                    return;
                };
                // The next event of the queue may be sent.
                self.changes.packets = true;
                let Some(done) = namespace.slot.attempt_ended(&ack) else { return };
                if let Some(Waiter::Caller(sender)) = done.waiter {
                    drop(sender.send(ack));
                }
            }
        }
    }
}

/// The result of sending a packet.
enum Sent {
    Done,
    /// The packet was not sent. The waiter of its ack is returned.
    Dropped(Option<Waiter>, AckError),
    /// The session has no room. The packet is returned.
    Full(Outgoing<Waiter>),
}

/// Hands a packet to the session, unless it is late.
fn transmit(
    engine: &mut Engine,
    machine: &mut Connection<Waiter>,
    nsp: &Nsp,
    packet: Outgoing<Waiter>,
    late: bool,
) -> Sent {
    let Outgoing { frames, ack, volatile, epoch } = packet;
    if late || (volatile && !engine.is_writable()) {
        return Sent::Dropped(ack.map(|ack| ack.waiter), AckError::Disconnected);
    }
    if let Err(limit) = engine.check_size(&frames) {
        let error = EmitError::TooLarge { limit }.into();
        return Sent::Dropped(ack.map(|ack| ack.waiter), error);
    }
    let mut awaited = None;
    if let Some(Awaited { id, deadline, waiter }) = ack {
        let now = now();
        let timeout = match &waiter {
            Waiter::Caller(_) => deadline.saturating_duration_since(now),
            Waiter::Retries { timeout, .. } => *timeout,
        };
        match machine.expect_ack(now, nsp, id, timeout, waiter) {
            Ok(()) => awaited = Some((id, deadline)),
            // The packet waits until there are fewer pending acks.
            Err((AckRefused::TooMany, waiter)) => {
                let ack = Some(Awaited { id, deadline, waiter });
                return Sent::Full(Outgoing { frames, ack, volatile, epoch });
            }
            Err((_, waiter)) => return Sent::Dropped(Some(waiter), AckError::Disconnected),
        }
    }
    let Err(error) = engine.send(frames) else { return Sent::Done };
    let ack = awaited.and_then(|(id, deadline)| {
        let waiter = machine.forget_ack(nsp, id)?;
        Some(Awaited { id, deadline, waiter })
    });
    Sent::Full(Outgoing { frames: error.into_frames(), ack, volatile, epoch })
}
