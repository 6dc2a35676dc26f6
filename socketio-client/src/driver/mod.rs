//! One connection: a future that opens it, keeps it open and runs its handlers, in one task.
//!
//! The handles change [`Request`](crate::request::Request)s and queue packets under short locks,
//! then wake the task by the [`Signal`](crate::signal::Signal). The task brings the connection in
//! line with the requests.
//!
//! # The connection
//!
//! ```text
//!            requested                 opened
//!   Idle ─────────────────► Opening ──────────► Open ──────────────┐
//!    ▲ ▲                     ▲   │               │                 │ closed by a handle or with the
//!    │ │ no attempt left     │   │ failed        │ lost            │ last socket; the server broke
//!    │ └─────────────────────┼───┤               │                 │ the protocol
//!    │             time is up│   ▼               │                 │
//!    │                       └─ Waiting ◄────────┘                 │
//!    │                            ▲                                ▼
//!    │                            └──────── ended, to retry ─── Closing
//!    └───────────────────────────────────── ended ────────────────┘
//! ```
//!
//! A loss without an attempt left leads to `Idle`. Closing a connection that is `Opening` or
//! `Waiting` leads to `Idle` at once.
//!
//! # The namespaces
//!
//! A namespace can be joined only while the connection is `Open`. Otherwise it is `NotJoined`.
//!
//! ```text
//!                 requested               auth given               granted
//!   NotJoined ─────────────► AwaitingAuth ──────────► Requested ──────────► Joined
//!    ▲     ▲                      │                    │      │                │
//!    │     │ time is up           │ failed             │      │ left           │ left
//!    │     └───────────────── Delayed ◄────────────────┤      ▼                │
//!    │                            ▲     timeout        │   Leaving             │
//!    │                            │ DISCONNECT sent    │      │ granted        │
//!    │                            └────────────────────┼──────┴────────────────┤
//!    │ refused                                         │                       │
//!    ├─────────────────────────────────────────────────┘                       │
//!    └─────────────────────────────────── disconnected by the server ──────────┘
//! ```

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
    state::{InboxLimit, Link, Member, Phase},
    timer::Timer,
};
use crate::{
    engine::EngineConfig,
    error::DisconnectReason,
    model::{NamespaceSlot, Shared, Status},
    reconnect::Backoff,
    signal::Changes,
    waiter::Waiter,
};

pub(crate) use self::state::Driver;

/// Rounds before the task yields to other tasks.
const ROUNDS: usize = 32;

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, engine: EngineConfig) -> Self {
        let machine = new_machine(&shared);
        let inbox = InboxLimit::new(shared.config.max_inbox_bytes);
        Self {
            shared,
            engine,
            machine,
            link: Link::default(),
            backoff: Backoff::default(),
            members: Vec::new(),
            running: Vec::new(),
            inbox,
            changes: Changes::ALL,
            timer: Timer::default(),
        }
    }

    /// Handles the requests of the handles. Returns whether there were any.
    fn handle_requests(&mut self) -> bool {
        self.changes.add(self.shared.signal.take());
        // Most messages change nothing here, so this returns early for them.
        if !std::mem::take(&mut self.changes.requests) {
            return false;
        }
        self.changes.packets = true;
        let (close, added) = {
            let mut state = self.shared.state();
            let added: Vec<_> = state.slots.iter().skip(self.members.len()).cloned().collect();
            (state.request.take_close(), added)
        };
        let mut progressed = close || !added.is_empty();
        self.members.extend(added.into_iter().map(Member::new));
        if close {
            self.close_connection(DisconnectReason::ForcedClose, None);
        }
        for index in 0..self.members.len() {
            progressed |= self.handle_namespace_requests(index);
        }
        if matches!(self.link, Link::Idle) && self.shared.state().request.is_open() {
            self.open();
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
            let leave = state.request.take_close();
            (leave, state.request.is_open(), std::mem::take(&mut state.abandoned_acks))
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
        if self.shared.state().request.take_close() {
            self.close_connection(DisconnectReason::ForcedClose, None);
        }
        for index in 0..self.members.len() {
            let leave =
                self.members.get(index).is_some_and(|it| it.slot.state().request.is_closing());
            if leave { self.leave(index) } else { self.send_remaining(index) }
        }
        self.running.clear();
        self.members.clear();
        self.machine.close();
        while let Some(output) = self.machine.poll_output() {
            drop(output);
        }
        self.close_session();
    }

    /// Wakes the callers that wait for the end of the connection.
    fn note_idle(&self) {
        if !matches!(self.link, Link::Idle) {
            return;
        }
        let idle = {
            let mut state = self.shared.state();
            let idle = !state.request.is_open();
            if idle {
                state.status = Status::Idle;
            }
            idle
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
        self.changes.add(self.shared.signal.take());
        progressed |= self.flush() && !self.write(cx);
        progressed |= self.timeouts(cx);
        progressed | self.changes.requests
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
                while this.poll_link(cx) || this.timeouts(cx) {}
                let ended = matches!(this.link, Link::Idle);
                return if ended { Poll::Ready(()) } else { Poll::Pending };
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
