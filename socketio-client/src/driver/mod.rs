//! One connection: a future that opens it, keeps it open and runs its handlers, in one task.
//!
//! The handles change [`Request`](crate::request::Request)s and queue packets under short locks,
//! then wake the task by the [`Signal`](Signal). The task brings the connection in
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

mod inbox;
mod join;
mod leave;
mod link;
mod run;
mod send;
mod signal;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use socketio_parser::{Connection, Nsp, Protocol};

use self::{
    inbox::{InboxLimit, Item},
    signal::Changes,
};
use crate::{
    config::AuthFuture,
    engine::{Engine, EngineConfig, EngineError},
    error::DisconnectReason,
    reconnection::Backoff,
    shared::{ManagerRequests, Shared},
    socket::{NamespaceSlot, Responder, SlotRequests, Waiter, handlers::HandlerFuture},
    time::Timer,
};

pub(crate) use self::signal::Signal;

/// Up to this number of namespaces, searching is faster than hashing.
const MAX_UNINDEXED: usize = 16;

/// Rounds before the task yields to other tasks.
const ROUNDS: usize = 32;

/// The future that keeps one connection open and runs its handlers. It ends with the last handle.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    engine: EngineConfig,
    machine: Connection<Waiter>,
    link: Link,
    /// The attempts since the connection was lost. There are none unless this is a reconnection.
    backoff: Backoff,
    namespaces: Vec<Namespace>,
    /// The positions of the namespaces, if there are more than [`MAX_UNINDEXED`].
    index: HashMap<Nsp, usize>,
    /// The namespaces with items in their inbox. They take turns in this order.
    waiting: VecDeque<usize>,
    running: Vec<Running>,
    inbox: InboxLimit,
    changes: Changes,
    timer: Timer,
}

/// The state of the connection. The diagram is in the documentation of this module.
#[derive(Default)]
enum Link {
    #[default]
    Idle,
    Opening {
        future: Pin<Box<dyn Future<Output = Result<Engine, EngineError>> + Send>>,
        deadline: Option<Instant>,
    },
    Open(Box<Engine>),
    /// The session sends its last packets. The next session opens after its end, because the server
    /// handles two sessions in parallel and could read the events of the next one first.
    Closing {
        engine: Box<Engine>,
        deadline: Instant,
        /// The time of the next attempt to connect, if the client reconnects.
        retry: Option<Instant>,
    },
    /// Waiting for the next attempt.
    Waiting {
        until: Instant,
    },
}

/// A namespace of the connection.
struct Namespace {
    slot: Arc<NamespaceSlot>,
    phase: Phase,
    /// Events that arrived before the namespace was granted. A server that recovers a session sends
    /// the missed events first.
    early_events: VecDeque<Item>,
    /// Whether DISCONNECT was sent for an earlier CONNECT on this connection. Events that arrive
    /// before the response to the current CONNECT belong to the earlier one.
    withdrawn: bool,
    inbox: VecDeque<Item>,
    /// Whether the namespace is in [`Driver::waiting`].
    is_waiting: bool,
    in_flight: usize,
    /// The number of the current join.
    epoch: u64,
    /// The private id of the session that may be recovered, and the offset of its last event.
    pid: Option<String>,
    offset: Option<String>,
}

/// The phase of a namespace.
enum Phase {
    NotJoined,
    /// The function that provides `auth` is running.
    AwaitingAuth {
        future: AuthFuture,
        deadline: Option<Instant>,
    },
    /// CONNECT was sent.
    Requested {
        deadline: Option<Instant>,
    },
    Joined,
    /// CONNECT was sent, but the user has disconnected since. Some servers accept DISCONNECT only
    /// after their response.
    Leaving {
        deadline: Option<Instant>,
    },
    /// The client waits before it joins again.
    Delayed {
        until: Instant,
    },
}

impl Phase {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::AwaitingAuth { deadline, .. }
            | Self::Requested { deadline }
            | Self::Leaving { deadline } => *deadline,
            Self::Delayed { until } => Some(*until),
            Self::NotJoined | Self::Joined => None,
        }
    }
}

/// A running handler.
struct Running {
    future: HandlerFuture,
    /// The name of the event, for the log.
    event: Box<str>,
    responder: Option<Responder>,
    /// Whether it counts towards `max_in_flight`.
    counted: bool,
    /// The index of its namespace.
    namespace: usize,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, engine: EngineConfig) -> Self {
        let machine = new_machine(&shared);
        let inbox = InboxLimit::new(shared.config().max_inbox_bytes);
        Self {
            shared,
            engine,
            machine,
            link: Link::default(),
            backoff: Backoff::default(),
            namespaces: Vec::new(),
            index: HashMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            inbox,
            changes: Changes::ALL,
            timer: Timer::default(),
        }
    }

    /// Handles the requests of the handles. Returns whether there were any.
    fn handle_requests(&mut self) -> bool {
        self.changes.add(self.shared.signal().take());
        // Most messages change nothing here, so this returns early for them.
        if !std::mem::take(&mut self.changes.requests) {
            return false;
        }
        self.changes.packets = true;
        let ManagerRequests { close, network_changed, added } =
            self.shared.take_requests(self.namespaces.len());
        let mut progressed = close || network_changed || !added.is_empty();
        if self.namespaces.is_empty() {
            // Most connections have one namespace.
            self.namespaces.reserve_exact(added.len());
        }
        self.namespaces.extend(added.into_iter().map(Namespace::new));
        if self.namespaces.len() > MAX_UNINDEXED {
            let added = self.namespaces.iter().zip(0..).skip(self.index.len());
            self.index.extend(added.map(|(it, position)| (it.slot.nsp().clone(), position)));
        }
        if close {
            self.close_connection(DisconnectReason::ForcedClose, None);
        } else if network_changed {
            self.abandon();
        }
        for index in 0..self.namespaces.len() {
            progressed |= self.handle_namespace_requests(index);
        }
        if matches!(self.link, Link::Idle) && self.shared.request().is_open() {
            self.open();
            progressed = true;
        }
        progressed
    }

    /// Handles the requests of one namespace's handles.
    fn handle_namespace_requests(&mut self, index: usize) -> bool {
        let Some(namespace) = self.namespaces.get(index) else { return false };
        let not_joined = matches!(namespace.phase, Phase::NotJoined);
        let SlotRequests { leave, join, abandoned_acks } = namespace.slot.take_requests();
        for id in abandoned_acks {
            drop(self.machine.forget_ack(namespace.slot.nsp(), id));
        }
        if leave {
            self.leave(index);
            return true;
        }
        let join = join && not_joined && matches!(self.link, Link::Open(_));
        if join {
            self.join(index);
        }
        join
    }

    fn find(&self, nsp: &Nsp) -> Option<usize> {
        if self.namespaces.len() > MAX_UNINDEXED {
            return self.index.get(nsp).copied();
        }
        self.namespaces.iter().position(|namespace| namespace.slot.nsp() == nsp)
    }

    fn set_phase(&mut self, index: usize, phase: Phase) {
        self.changes.requests = true;
        if let Some(namespace) = self.namespaces.get_mut(index) {
            namespace.phase = phase;
        }
    }

    fn is_leaving(&self, index: usize) -> bool {
        self.namespaces.get(index).is_some_and(|it| matches!(it.phase, Phase::Leaving { .. }))
    }

    fn is_active(&self, index: usize) -> bool {
        self.namespaces.get(index).is_some_and(|namespace| namespace.slot.request().is_open())
    }

    /// Marks the socket as inactive: it connects again only at the user's request.
    fn deactivate(&mut self, index: usize) {
        self.set_phase(index, Phase::NotJoined);
        if let Some(namespace) = self.namespaces.get(index) {
            namespace.slot.deactivate();
        }
    }

    /// Ends the driver after the last handle was dropped. Queued events are sent; nothing else
    /// happens.
    fn stop(&mut self) {
        if self.shared.take_requests(self.namespaces.len()).close {
            self.close_connection(DisconnectReason::ForcedClose, None);
        }
        for index in 0..self.namespaces.len() {
            let leave = self.namespaces.get(index).is_some_and(|it| it.slot.request().is_closing());
            if leave { self.leave(index) } else { self.send_remaining(index) }
        }
        self.running.clear();
        self.namespaces.clear();
        self.machine.close();
        while let Some(output) = self.machine.poll_output() {
            drop(output);
        }
        self.close_session();
    }

    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = self.handle_requests();
        progressed |= self.poll_link(cx);
        progressed |= self.poll_auth(cx);
        progressed |= self.poll_running(cx);
        progressed |= self.start_waiting(cx);
        self.changes.add(self.shared.signal().take());
        progressed |= self.flush() && !self.write(cx);
        progressed |= self.timeouts(cx);
        progressed | self.changes.requests
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.shared.signal().work();
        for _ in 0..ROUNDS {
            if this.shared.signal().is_stopped() {
                this.stop();
                while this.poll_link(cx) || this.timeouts(cx) {}
                let ended = matches!(this.link, Link::Idle);
                return if ended { Poll::Ready(()) } else { Poll::Pending };
            }
            // After `sleep` returns true, every request wakes this task. Earlier requests, also the
            // stop, are handled in another round.
            if !this.round(cx) && this.shared.signal().sleep(cx.waker()) {
                if matches!(this.link, Link::Idle) {
                    this.shared.note_idle();
                }
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

impl Namespace {
    fn new(slot: Arc<NamespaceSlot>) -> Self {
        Self {
            slot,
            phase: Phase::NotJoined,
            early_events: Default::default(),
            withdrawn: false,
            inbox: Default::default(),
            is_waiting: false,
            in_flight: 0,
            epoch: 0,
            pid: None,
            offset: None,
        }
    }
}

fn new_machine(shared: &Shared) -> Connection<Waiter> {
    let config = shared.config();
    // The size limit of messages also applies to attachments.
    let limits = config.limits.clone().max_attachment_bytes(config.engine.max_message());
    Connection::client(Protocol::V5, limits).with_parser(config.parser)
}
