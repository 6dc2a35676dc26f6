//! One connection: a future that opens it, keeps it open and runs its handlers, in one task.

mod link;
mod namespaces;
mod run;
mod send;
mod state;
#[cfg(test)]
mod tests;
mod timer;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use socketio_parser::{Connection, Protocol};

use self::{
    state::{Closing, Link, Member, Phase},
    timer::{Timer, after},
};
use crate::{
    engine::EngineConfig,
    error::DisconnectReason,
    model::{NamespaceSlot, Shared},
    reconnect::Backoff,
    waiter::Waiter,
};

pub(crate) use self::state::Driver;

/// Rounds before the task yields to other tasks.
const ROUNDS: usize = 32;

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, engine: EngineConfig) -> Self {
        let machine = new_machine(&shared);
        Self {
            shared,
            engine,
            machine,
            link: Link::Idle,
            closing: None,
            backoff: Backoff::default(),
            members: Vec::new(),
            running: Vec::new(),
            inbox_bytes: 0,
            reading: true,
            dirty: true,
            unsent: true,
            timer: Timer::default(),
            exceeded: None,
        }
    }

    /// Takes the flags that the handles have raised.
    fn take_signals(&mut self) {
        let raised = self.shared.signal.take();
        self.unsent |= raised.has_packets();
        self.dirty |= raised.has_requests();
    }

    /// Handles the requests of the handles. Returns whether there were any.
    fn handle_requests(&mut self) -> bool {
        self.take_signals();
        // Most messages change nothing here, so this returns early for them.
        if !std::mem::take(&mut self.dirty) {
            return false;
        }
        self.unsent = true;
        let (close, added) = {
            let mut state = self.shared.state();
            let added: Vec<_> = state.slots.iter().skip(self.members.len()).cloned().collect();
            (std::mem::take(&mut state.close), added)
        };
        let mut progressed = close || !added.is_empty();
        self.members.extend(added.into_iter().map(Member::new));
        if close {
            self.close_connection(DisconnectReason::ForcedClose, None);
        }
        for index in 0..self.members.len() {
            progressed |= self.handle_namespace_requests(index);
        }
        let may_open = matches!(self.link, Link::Idle) && self.closing.is_none();
        if may_open && self.shared.state().open {
            self.open(false);
            progressed = true;
        }
        progressed
    }

    /// Handles the requests of one namespace's handles.
    fn handle_namespace_requests(&mut self, index: usize) -> bool {
        let Some(member) = self.members.get(index) else { return false };
        let slot = member.slot.clone();
        let not_joined = matches!(member.phase, Phase::NotJoined);
        let (leave, active, abandoned_acks) = {
            let mut state = slot.state();
            (
                std::mem::take(&mut state.leave),
                state.active,
                std::mem::take(&mut state.abandoned_acks),
            )
        };
        for id in abandoned_acks {
            drop(self.machine.forget_ack(&slot.nsp, id));
        }
        if leave {
            self.leave(index);
            return true;
        }
        let join = active && not_joined && matches!(self.link, Link::Open(_));
        if join {
            self.join(index);
        }
        join
    }

    /// Ends the driver after the last handle was dropped. Queued events are sent; nothing else
    /// happens.
    fn stop(&mut self) {
        if std::mem::take(&mut self.shared.state().close) {
            self.close_connection(DisconnectReason::ForcedClose, None);
        }
        for index in 0..self.members.len() {
            let leave = self.members.get(index).is_some_and(|it| it.slot.state().leave);
            if leave { self.leave(index) } else { self.send_remaining(index) }
        }
        self.running.clear();
        self.members.clear();
        self.machine.close();
        while let Some(output) = self.machine.poll_output() {
            drop(output);
        }
        self.close_session();
        self.link = Link::Idle;
    }

    /// Closes the open session, if there is one, and lets it finish in the background.
    fn close_session(&mut self) {
        self.dirty = true;
        self.shared.set_session(None);
        if let Link::Open(mut engine) = std::mem::replace(&mut self.link, Link::Idle) {
            engine.set_reading(true);
            engine.close();
            let deadline = after(self.shared.config.close_timeout);
            self.closing = Some(Closing { engine, deadline });
        }
    }

    /// Wakes the callers that wait for the end of the connection.
    fn note_idle(&self) {
        if self.closing.is_some() || !matches!(self.link, Link::Idle) {
            return;
        }
        let idle = {
            let mut state = self.shared.state();
            state.idle = !state.open;
            state.idle
        };
        if idle {
            self.shared.closed.notify_waiters();
        }
    }

    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = self.handle_requests();
        progressed |= self.poll_link(cx);
        progressed |= self.poll_auth(cx);
        progressed |= self.poll_running(cx);
        progressed |= self.start_waiting(cx);
        self.take_signals();
        progressed |= self.flush() && !self.write(cx);
        progressed |= self.poll_closing(cx);
        progressed |= self.timeouts(cx);
        progressed | self.dirty
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.shared.signal.work();
        for _ in 0..ROUNDS {
            if this.shared.signal.is_stopped() {
                this.stop();
                while this.poll_closing(cx) || this.timeouts(cx) {}
                return if this.closing.is_none() { Poll::Ready(()) } else { Poll::Pending };
            }
            // After `sleep` returns true, every request wakes this task. Earlier requests, also the
            // stop, are handled in another round.
            if !this.round(cx) && this.shared.signal.sleep(cx.waker()) {
                this.note_idle();
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Wakes all waiting callers if the runtime shuts down.
impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Member {
    fn new(slot: Arc<NamespaceSlot>) -> Self {
        Self {
            slot,
            phase: Phase::NotJoined,
            early_events: Default::default(),
            inbox: Default::default(),
            in_flight: 0,
            epoch: 0,
            pid: None,
            offset: None,
        }
    }
}

fn new_machine(shared: &Shared) -> Connection<Waiter> {
    let config = &shared.config;
    // The size limit of messages also applies to attachments.
    let limits = config.limits.clone().max_attachment_bytes(config.engine.max_message());
    Connection::client(Protocol::V5, limits).with_parser(config.parser)
}
