//! What is sent in the namespaces, and who waits for an answer.

use std::{task::Context, time::Instant};

use engineio_parser::Frames;
use socketio_parser::{AckRefused, Connection, Nsp};

use super::{
    state::{Driver, Link, Phase},
    timer::{after, now},
};
use crate::{
    engine::{Engine, Order},
    error::{AckError, EmitError},
    model::{Space, SpaceState},
    outbox::{Awaited, Outgoing},
    waiter::{Answer, Waiter},
};

impl Driver {
    /// Sends what waits; whether there was anything.
    pub(super) fn flush(&mut self) -> bool {
        if !std::mem::take(&mut self.unsent) {
            return false;
        }
        if self.outlived() {
            return true;
        }
        let mut moved = false;
        for index in 0..self.members.len() {
            moved |= self.flush_member(index);
        }
        moved
    }

    /// Whether the open session has outlived its heartbeat. What waits to be sent then waits for the next connection, but
    /// for volatile events.
    fn outlived(&mut self) -> bool {
        let Link::Open(engine) = &mut self.link else { return false };
        if engine.is_alive() {
            return false;
        }
        for member in &self.members {
            let volatile = member.space.state().outbox.take_volatile();
            // Dropped where no lock is held, which tells whoever waits for an acknowledgement.
            drop(volatile);
        }
        true
    }

    /// Lets what was sent leave; whether that is all there is to do for it.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.link {
            // What had no room has some now.
            Link::Open(engine) => engine.poll_sent(cx) && !self.unsent,
            _ => false,
        }
    }

    /// Sends what a namespace has queued by the time it is left, beyond the limits of the session's queue: nothing of it is
    /// for another connection. Nobody will get an answer.
    pub(super) fn send_last(&mut self, index: usize) {
        let Some(member) = self.members.get(index) else { return };
        let space = member.space.clone();
        let mut unanswered = Vec::new();
        {
            let mut state = space.state();
            if let Link::Open(engine) = &mut self.link
                && matches!(member.phase, Phase::In)
            {
                if state.outbox.is_open() {
                    queue_retried(&space, &mut state);
                }
                let writable = engine.is_writable();
                while let Some(packet) = state.outbox.pop() {
                    let Outgoing { frames, ack, volatile, stay } = packet;
                    let late = stay.is_some_and(|of| of != state.stay);
                    let mut error = AckError::Disconnected;
                    if let Err(limit) = engine.check_size(&frames) {
                        error = too_large(&space.nsp, limit).into();
                    } else if !late && (writable || !volatile) {
                        engine.send_held(frames, Order::Behind);
                    }
                    unanswered.extend(ack.map(|ack| (ack.waiter, error)));
                }
            }
            state.outbox.reopen();
        }
        space.room.notify_waiters();
        for (waiter, error) in unanswered {
            self.answer(waiter, Err(error));
        }
    }

    fn flush_member(&mut self, index: usize) -> bool {
        let (Some(member), Link::Open(engine)) = (self.members.get(index), &mut self.link) else {
            return false;
        };
        if !matches!(member.phase, Phase::In) {
            return false;
        }
        let space = &*member.space;
        let (mut moved, mut awaited) = (false, false);
        // Whoever waits is told where no lock is held.
        let mut unsent = Vec::new();
        {
            let mut state = space.state();
            while let Some(packet) = next(space, &mut state) {
                // An answer to an event of an earlier stay means nothing now.
                let late = packet.stay.is_some_and(|of| of != state.stay);
                match transmit(engine, &mut self.machine, &space.nsp, packet, late) {
                    Sent::Yes => {}
                    Sent::No(waiter, error) => unsent.push((waiter, error)),
                    Sent::Full(packet) => {
                        state.outbox.unpop(packet);
                        self.unsent = true;
                        break;
                    }
                }
                moved = true;
            }
            if moved {
                awaited = state.outbox.take_awaited();
            }
        }
        if awaited {
            space.room.notify_waiters();
        }
        for (waiter, error) in unsent {
            // Who waits for what is dropped is told by the end of its sender.
            if let Some(error) = error {
                self.answer(waiter, Err(error));
            }
        }
        moved
    }

    /// Sends what the protocol cannot do without. Where the session has no room, it waits before all else.
    pub(super) fn control(&mut self, frames: Frames, order: Order) {
        if let Link::Open(engine) = &mut self.link {
            engine.send_held(frames, order);
            self.unsent = true;
        }
    }

    /// When the last DISCONNECT left; `now` where one is still to leave.
    pub(super) fn left_at(&self, now: Instant) -> Option<Instant> {
        let Link::Open(engine) = &self.link else { return None };
        if engine.is_holding() { Some(now) } else { engine.apart_at() }
    }

    /// Tells who waits for an acknowledgement.
    pub(super) fn answer(&mut self, waiter: Waiter, answer: Answer) {
        match waiter {
            // Whoever waited may have stopped waiting.
            Waiter::Caller(sender) => drop(sender.send(answer)),
            Waiter::Retries { nsp, .. } => {
                let Some(member) = self.find(&nsp).and_then(|at| self.members.get(at)) else {
                    return;
                };
                // The next one may go.
                self.unsent = true;
                let retries = member.space.config.retries.unwrap_or(0);
                let done = {
                    let mut state = member.space.state();
                    match answer {
                        Ok(_) => state.retries.answered(),
                        Err(_) => state.retries.failed(retries),
                    }
                };
                let Some(done) = done else { return };
                member.space.room.notify_waiters();
                if let Some(Waiter::Caller(sender)) = done.waiter {
                    drop(sender.send(answer));
                }
            }
        }
    }
}

/// The packet to send next.
fn next(space: &Space, state: &mut SpaceState) -> Option<Outgoing<Waiter>> {
    // What was queued after a disconnection is not for this stay.
    if state.outbox.is_open() {
        queue_retried(space, state);
    }
    state.outbox.pop()
}

/// Puts the event that is sent until it is acknowledged behind what waits already.
fn queue_retried(space: &Space, state: &mut SpaceState) {
    if let Some(retried) = state.retries.next() {
        let (id, timeout) = (retried.id, retried.timeout);
        let waiter = Waiter::Retries { nsp: space.nsp.clone(), timeout };
        let ack = Awaited { id, deadline: after(timeout), waiter };
        let frames = retried.frames.clone();
        state.outbox.force(Outgoing { frames, ack: Some(ack), volatile: false, stay: None });
    }
}

/// Of an event that was queued when the server's limit was not known, or is larger as base64 than it was as binary.
fn too_large(nsp: &Nsp, limit: usize) -> EmitError {
    let error = EmitError::TooLarge { limit };
    tracing::error!(target: "socketio::client", %nsp, %error, "an event is dropped");
    error
}

/// What became of a packet.
enum Sent {
    Yes,
    /// It is not sent, and this one waits for its acknowledgement.
    No(Waiter, Option<AckError>),
    /// The session has no room for it.
    Full(Outgoing<Waiter>),
}

/// Hands a packet to the session, unless it comes too late.
fn transmit(
    engine: &mut Engine,
    machine: &mut Connection<Waiter>,
    nsp: &Nsp,
    packet: Outgoing<Waiter>,
    late: bool,
) -> Sent {
    let Outgoing { frames, ack, volatile, stay } = packet;
    if late || (volatile && !engine.is_writable()) {
        return ack.map_or(Sent::Yes, |ack| Sent::No(ack.waiter, None));
    }
    if let Err(limit) = engine.check_size(&frames) {
        let error = too_large(nsp, limit);
        return ack.map_or(Sent::Yes, |ack| Sent::No(ack.waiter, Some(error.into())));
    }
    let mut awaited = None;
    if let Some(Awaited { id, deadline, waiter }) = ack {
        let now = now();
        let patience = match &waiter {
            Waiter::Caller(_) => deadline.saturating_duration_since(now),
            Waiter::Retries { timeout, .. } => *timeout,
        };
        match machine.expect_ack(now, nsp, id, patience, waiter) {
            Ok(()) => awaited = Some((id, deadline)),
            // It waits until there are fewer.
            Err((AckRefused::TooMany, waiter)) => {
                let ack = Some(Awaited { id, deadline, waiter });
                return Sent::Full(Outgoing { frames, ack, volatile, stay });
            }
            Err((_, waiter)) => return Sent::No(waiter, Some(AckError::Disconnected)),
        }
    }
    let Err(error) = engine.send(frames) else { return Sent::Yes };
    let ack = awaited.and_then(|(id, deadline)| {
        let waiter = machine.forget_ack(nsp, id)?;
        Some(Awaited { id, deadline, waiter })
    });
    Sent::Full(Outgoing { frames: error.into_frames(), ack, volatile, stay })
}
