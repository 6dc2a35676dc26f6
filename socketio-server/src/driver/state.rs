//! What a driver keeps.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Instant};

use socketio_parser::{AckId, Args, Nsp, RawJson};

use tracing::Span;

use super::{timer::Timer, turn::Turn};
use crate::{
    dispatch::Rewrite,
    error::HandlerError,
    model::{Client, HandlerFuture, Namespace, Responder, Socket},
    rate::Budget,
    recovery::Stay,
    registry::Registry,
    shared_log::Restored,
};

/// Drives one client until its connection is closed and its handlers have ended.
pub(crate) struct Driver {
    pub(super) connection: engineio_server::Connection,
    /// What happens to this client is logged inside it.
    pub(super) span: Span,
    pub(super) client: Arc<Client>,
    pub(super) registry: Arc<Registry>,
    pub(super) spaces: Vec<Space>,
    pub(super) deciding: Vec<Deciding>,
    pub(super) restoring: Vec<Restoring>,
    pub(super) connecting: Vec<Connecting>,
    pub(super) running: Vec<Running>,
    /// What the events cost that wait for a free handler, in bytes.
    pub(super) inbox_bytes: usize,
    /// Events wait whose handlers were free to start, had the turn not been over or the outgoing queue too full.
    pub(super) backlog: bool,
    pub(super) turn: Turn,
    /// When a client without a namespace is closed; none once it has had one.
    pub(super) connect_deadline: Option<Instant>,
    pub(super) timer: Timer,
    /// The connection is being closed by this side: what still arrives is ignored.
    pub(super) deaf: bool,
    /// How the client broke the protocol, if it did.
    pub(super) violation: Option<Arc<str>>,
    pub(super) closed: bool,
}

/// A connected namespace.
pub(super) struct Space {
    pub(super) socket: Socket,
    /// Handlers of events that have not ended.
    pub(super) in_flight: usize,
    /// Events that wait for one of them to end.
    pub(super) inbox: VecDeque<Waiting>,
    /// The event whose middlewares have not ended; those behind it wait.
    pub(super) filtering: Option<Filtering>,
    /// What is left of the rate limit, where there is one.
    pub(super) budget: Option<Box<Budget>>,
}

impl Space {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, in_flight: 0, inbox: VecDeque::new(), filtering: None, budget: None }
    }

    /// Events that have arrived, and whose handlers were not started.
    pub(super) fn unstarted(&self) -> u64 {
        self.inbox.len() as u64 + u64::from(self.filtering.is_some())
    }

    /// Whether an event may be looked at now.
    pub(super) fn is_free(&self, limit: usize) -> bool {
        self.in_flight < limit && self.filtering.is_none()
    }
}

/// An event whose middlewares have not ended.
pub(super) struct Filtering {
    pub(super) future: HandlerFuture,
    pub(super) rewrite: Rewrite,
    pub(super) responder: Option<Responder>,
}

/// An event that waits for a free handler.
pub(super) struct Waiting {
    pub(super) id: Option<AckId>,
    pub(super) args: Args,
}

impl Waiting {
    /// The memory that an event takes in the inbox, about: its share of `max_inbox_bytes`. A queue that grows is half
    /// empty.
    pub(super) fn cost(&self) -> usize {
        self.args.heap_bytes() + 2 * size_of::<Self>()
    }
}

/// A CONNECT to a namespace of which a function says whether it may be.
pub(super) struct Deciding {
    pub(super) nsp: Nsp,
    pub(super) auth: Option<RawJson>,
    pub(super) future: Pin<Box<dyn Future<Output = Decision> + Send>>,
}

/// The namespace, which the client has entered.
pub(super) type Decision = Result<Namespace, HandlerError>;

/// A CONNECT of a client that claims a session of any node.
pub(super) struct Restoring {
    pub(super) namespace: Namespace,
    pub(super) auth: Option<RawJson>,
    /// What the client has of the namespace until it has a socket.
    pub(super) stay: Stay,
    pub(super) future: Pin<Box<dyn Future<Output = Option<Restored>> + Send>>,
}

/// A CONNECT whose middlewares have not ended.
pub(super) struct Connecting {
    pub(super) socket: Socket,
    pub(super) future: HandlerFuture,
}

/// A handler that waits for something.
pub(super) struct Running {
    pub(super) future: HandlerFuture,
    /// What the handler does is logged inside it.
    pub(super) span: Span,
    pub(super) call: Call,
    /// Whether it counts towards `max_in_flight`.
    pub(super) counted: bool,
    /// When it was started, where handlers are timed.
    pub(super) began: Option<Instant>,
}

impl Running {
    pub(super) fn belongs_to(&self, space: &Space) -> bool {
        self.counted && self.call.socket.same(&space.socket)
    }
}

/// What is needed to report how a handler ended.
pub(super) struct Call {
    pub(super) event: Box<str>,
    pub(super) socket: Socket,
    pub(super) responder: Option<Responder>,
}
