//! What the connection's task keeps.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Instant};

use socketio_parser::{AckId, Args, Connection};

use super::timer::Timer;
use crate::{
    config::AuthFuture,
    engine::{Engine, EngineConfig, EngineError},
    error::{ConnectError, DisconnectReason},
    model::{Context, HandlerFuture, Responder, Shared, Socket, Space},
    reconnect::Backoff,
    waiter::Waiter,
};

/// The future that keeps one connection open, and runs its handlers. It ends with the last handle.
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: EngineConfig,
    pub(super) machine: Connection<Waiter>,
    pub(super) link: Link,
    /// The session that is being closed. The next one is opened after its end: the server handles two sessions in
    /// parallel, so it could read what the next one sends before the last events of this one.
    pub(super) closing: Option<Closing>,
    pub(super) backoff: Backoff,
    pub(super) members: Vec<Member>,
    pub(super) running: Vec<Running>,
    /// Of all members' events that wait.
    pub(super) inbox_bytes: usize,
    pub(super) reading: bool,
    /// Whether something may have changed that decides on namespaces and the connection.
    pub(super) look: bool,
    /// Whether there may be something to send.
    pub(super) unsent: bool,
    pub(super) timer: Timer,
    /// The limit of the messages' size that ends the connection.
    pub(super) exceeded: Option<usize>,
}

/// How far the connection is.
pub(super) enum Link {
    Idle,
    Opening {
        future: Pin<Box<dyn Future<Output = Result<Engine, EngineError>> + Send>>,
        deadline: Option<Instant>,
        /// Whether this is an attempt to open it again.
        again: bool,
    },
    Open(Box<Engine>),
    /// For the next attempt.
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
    pub(super) space: Arc<Space>,
    pub(super) phase: Phase,
    /// Events that came before the namespace was granted: a server that recovers a session sends what was missed first.
    pub(super) held: VecDeque<Item>,
    pub(super) inbox: VecDeque<Item>,
    pub(super) in_flight: usize,
    /// As [`SpaceState::stay`](crate::model::SpaceState), which only this task changes.
    pub(super) stay: u64,
    /// Of the session that may be recovered: its private id, and the offset of the last event.
    pub(super) pid: Option<String>,
    pub(super) offset: Option<String>,
}

/// How far a namespace is.
pub(super) enum Phase {
    Out,
    /// The user is being asked for `auth`.
    Asking {
        future: AuthFuture,
        deadline: Option<Instant>,
    },
    /// CONNECT was sent.
    Asked {
        deadline: Option<Instant>,
    },
    In,
    /// CONNECT was sent, and is not wanted any more. Not every server can be told before it has answered.
    Leaving {
        deadline: Option<Instant>,
    },
    /// It is not asked for before then.
    Later {
        until: Instant,
    },
}

impl Phase {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Asking { deadline, .. }
            | Self::Asked { deadline }
            | Self::Leaving { deadline } => *deadline,
            Self::Later { until } => Some(*until),
            Self::Out | Self::In => None,
        }
    }
}

/// What waits for handlers.
pub(super) enum Item {
    Event { id: Option<AckId>, args: Args, stay: u64 },
    Connect,
    Disconnect { reason: DisconnectReason, description: Option<Arc<str>> },
    ConnectError(ConnectError),
}

impl Item {
    /// The memory that an item takes in the inbox, about. A queue that grows is half empty.
    pub(super) fn cost(&self) -> usize {
        let heap = if let Self::Event { args, .. } = self { args.heap_bytes() } else { 0 };
        heap + 2 * size_of::<Self>()
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self, Self::Event { .. })
    }

    /// Of the event, or of what happened in the socket's life.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Event { args, .. } => args.event(),
            Self::Connect => "connect",
            Self::Disconnect { .. } => "disconnect",
            Self::ConnectError(_) => "connect_error",
        }
    }

    /// What handlers get.
    pub(super) fn into_context(self, socket: Socket) -> Context {
        let mut context = Context::of(socket);
        match self {
            Self::Event { id, args, stay } => {
                context.responder = id.map(|id| Responder::new(context.socket.clone(), id, stay));
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

/// A handler at work.
pub(super) struct Running {
    pub(super) future: HandlerFuture,
    /// To report how it ended.
    pub(super) event: Box<str>,
    pub(super) responder: Option<Responder>,
    /// Whether it counts towards `max_in_flight`.
    pub(super) counted: bool,
    /// The index of its namespace.
    pub(super) member: usize,
}
