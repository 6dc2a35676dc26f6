//! The state of the connection's task.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Instant};

use socketio_parser::{AckId, Args, Connection};

use super::timer::Timer;
use crate::{
    config::AuthFuture,
    engine::{Engine, EngineConfig, EngineError},
    error::{ConnectError, DisconnectReason},
    model::{Context, HandlerFuture, NamespaceSlot, Responder, Shared, Socket},
    reconnect::Backoff,
    waiter::Waiter,
};

/// The future that keeps one connection open and runs its handlers. It ends with the last handle.
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: EngineConfig,
    pub(super) machine: Connection<Waiter>,
    pub(super) link: Link,
    /// The session that is being closed. The next session opens after its end, because the server
    /// handles two sessions in parallel and could read the events of the next one first.
    pub(super) closing: Option<Closing>,
    pub(super) backoff: Backoff,
    pub(super) members: Vec<Member>,
    pub(super) running: Vec<Running>,
    /// The cost of the waiting events of all members.
    pub(super) inbox_bytes: usize,
    pub(super) reading: bool,
    /// Whether something may have changed that affects namespaces or the connection.
    pub(super) dirty: bool,
    /// Whether there may be something to send.
    pub(super) unsent: bool,
    pub(super) timer: Timer,
    /// The message size limit that the server exceeded, if that ended the connection.
    pub(super) exceeded: Option<usize>,
}

/// The phase of the connection.
pub(super) enum Link {
    Idle,
    Opening {
        future: Pin<Box<dyn Future<Output = Result<Engine, EngineError>> + Send>>,
        deadline: Option<Instant>,
        /// Whether this is a reconnection.
        reconnecting: bool,
    },
    Open(Box<Engine>),
    /// Waiting for the next attempt.
    Waiting {
        until: Instant,
    },
}

pub(super) struct Closing {
    pub(super) engine: Box<Engine>,
    pub(super) deadline: Instant,
}

/// A namespace of the connection.
pub(super) struct Member {
    pub(super) slot: Arc<NamespaceSlot>,
    pub(super) phase: Phase,
    /// Events that arrived before the namespace was granted. A server that recovers a session sends
    /// the missed events first.
    pub(super) early_events: VecDeque<Item>,
    pub(super) inbox: VecDeque<Item>,
    pub(super) in_flight: usize,
    /// A copy of [`NamespaceState::epoch`](crate::model::NamespaceState), which only this task changes.
    pub(super) epoch: u64,
    /// The private id of the session that may be recovered, and the offset of its last event.
    pub(super) pid: Option<String>,
    pub(super) offset: Option<String>,
}

/// The phase of a namespace.
pub(super) enum Phase {
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
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::AwaitingAuth { deadline, .. }
            | Self::Requested { deadline }
            | Self::Leaving { deadline } => *deadline,
            Self::Delayed { until } => Some(*until),
            Self::NotJoined | Self::Joined => None,
        }
    }
}

/// An item that waits for handlers.
pub(super) enum Item {
    Event { id: Option<AckId>, args: Args, epoch: u64 },
    Connect,
    Disconnect { reason: DisconnectReason, description: Option<Arc<str>> },
    ConnectError(ConnectError),
}

impl Item {
    /// The approximate memory of an item in the inbox. A queue that grows is half empty.
    pub(super) fn cost(&self) -> usize {
        let heap = if let Self::Event { args, .. } = self { args.heap_bytes() } else { 0 };
        heap + 2 * size_of::<Self>()
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self, Self::Event { .. })
    }

    /// The name of the event or of the connection change.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Event { args, .. } => args.event(),
            Self::Connect => "connect",
            Self::Disconnect { .. } => "disconnect",
            Self::ConnectError(_) => "connect_error",
        }
    }

    /// Builds the context for the handlers.
    pub(super) fn into_context(self, socket: Socket) -> Context {
        let mut context = Context::of(socket);
        match self {
            Self::Event { id, args, epoch } => {
                context.responder = id.map(|id| Responder::new(context.socket.clone(), id, epoch));
                context.args = Some(args);
            }
            Self::Connect => {}
            Self::Disconnect { reason, description } => {
                context.reason = Some(reason);
                context.description = description;
            }
            Self::ConnectError(error) => context.error = Some(Box::new(error)),
        }
        context
    }
}

/// A running handler.
pub(super) struct Running {
    pub(super) future: HandlerFuture,
    /// The name of the event, for the log.
    pub(super) event: Box<str>,
    pub(super) responder: Option<Responder>,
    /// Whether it counts towards `max_in_flight`.
    pub(super) counted: bool,
    /// The index of its namespace.
    pub(super) member: usize,
}
