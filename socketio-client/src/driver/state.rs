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
    signal::Changes,
    waiter::Waiter,
};

/// The future that keeps one connection open and runs its handlers. It ends with the last handle.
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: EngineConfig,
    pub(super) machine: Connection<Waiter>,
    pub(super) link: Link,
    /// The attempts since the connection was lost. There are none unless this is a reconnection.
    pub(super) backoff: Backoff,
    pub(super) members: Vec<Member>,
    pub(super) running: Vec<Running>,
    pub(super) inbox: InboxLimit,
    pub(super) changes: Changes,
    pub(super) timer: Timer,
}

/// The state of the connection. The diagram is in the documentation of [`driver`](super).
#[derive(Default)]
pub(super) enum Link {
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

/// The total size of the events that wait for handlers. Above its limit the connection is not read.
pub(super) struct InboxLimit {
    bytes: usize,
    max: usize,
    reading: bool,
}

impl InboxLimit {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: 0, max, reading: true }
    }

    pub(super) fn add(&mut self, item: &Item) {
        self.bytes += item.cost();
    }

    pub(super) fn remove(&mut self, item: &Item) {
        self.bytes -= item.cost();
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.bytes > self.max
    }

    /// Returns whether the connection may be read. Once paused, reading resumes when half of the
    /// limit is free.
    pub(super) fn may_read(&mut self) -> bool {
        let max = if self.reading { self.max } else { self.max / 2 };
        self.reading = self.bytes <= max;
        self.reading
    }
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
    fn cost(&self) -> usize {
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
