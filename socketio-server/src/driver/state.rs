//! The state of a driver.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Instant};

use socketio_parser::{AckId, Args, Nsp, RawJson};

use tracing::Span;

use crate::driver::{timer::Timer, turn::Turn};
use crate::{
    client::Client,
    config::rate_limit::Budget,
    error::HandlerError,
    handlers::{HandlerFuture, Rewrite, context::Responder},
    namespace::registry::Registry,
    namespace::{
        Namespace,
        recovery::{Lease, claim::Restored},
    },
    socket::Socket,
};

/// Drives one client until its connection is closed and its handlers have ended.
pub(crate) struct Driver {
    pub(super) connection: engineio_server::Connection,
    /// The tracing span of this client.
    pub(super) span: Span,
    pub(super) client: Arc<Client>,
    pub(super) registry: Arc<Registry>,
    pub(super) spaces: Vec<Space>,
    /// Position of the namespace whose waiting event starts next.
    pub(super) next_space: usize,
    pub(super) deciding: Vec<Deciding>,
    pub(super) restoring: Vec<Restoring>,
    pub(super) connecting: Vec<Connecting>,
    pub(super) running: Vec<Running>,
    /// Memory used by events that wait for a free handler, in bytes.
    pub(super) inbox_bytes: usize,
    /// Size of the acks that wait for earlier events or for room in the outgoing queue, in bytes.
    pub(super) ack_bytes: usize,
    /// Whether events wait only because the turn was over or the outgoing queue too full, although
    /// handlers were free.
    pub(super) backlog: bool,
    pub(super) turn: Turn,
    /// When a client without a namespace is closed. `None` once it has had a namespace.
    pub(super) connect_deadline: Option<Instant>,
    pub(super) timer: Timer,
    /// The server is closing the connection: further messages are ignored.
    pub(super) deaf: bool,
    /// How the client broke the protocol, if it did.
    pub(super) violation: Option<Arc<str>>,
    pub(super) closed: bool,
}

/// A connected namespace.
pub(super) struct Space {
    pub(super) socket: Socket,
    /// Number of running handlers of events.
    pub(super) in_flight: usize,
    /// Events that wait for a free handler.
    pub(super) inbox: VecDeque<Waiting>,
    /// The event whose middlewares are running. Later events wait.
    pub(super) filtering: Option<Filtering>,
    /// The remaining tokens of the rate limit, if there is one.
    pub(super) budget: Option<Box<Budget>>,
}

impl Space {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, in_flight: 0, inbox: VecDeque::new(), filtering: None, budget: None }
    }

    /// Returns the number of events that have arrived and whose handlers have not been started.
    pub(super) fn unstarted(&self) -> u64 {
        self.inbox.len() as u64 + u64::from(self.filtering.is_some())
    }

    /// Returns whether the next event may be handled now.
    pub(super) fn is_free(&self, limit: usize) -> bool {
        self.in_flight < limit && self.filtering.is_none()
    }
}

/// An event whose middlewares are running.
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
    /// Returns the approximate memory that an event takes in the inbox, which counts towards
    /// `max_inbox_bytes`. Its slot counts twice, because a growing queue is half empty.
    pub(super) fn cost(&self) -> usize {
        self.args.heap_bytes() + 2 * size_of::<Self>()
    }
}

/// A CONNECT to a namespace that a parent's function has to accept.
pub(super) struct Deciding {
    pub(super) nsp: Nsp,
    pub(super) auth: Option<RawJson>,
    pub(super) future: Pin<Box<dyn Future<Output = Decision> + Send>>,
}

/// The namespace that the client has entered, or the error that refuses it.
pub(super) type Decision = Result<Namespace, HandlerError>;

/// A CONNECT of a client that claims a session, which may come from any node.
pub(super) struct Restoring {
    pub(super) namespace: Namespace,
    pub(super) auth: Option<RawJson>,
    /// The client's stay in the namespace until it has a socket.
    pub(super) stay: Lease,
    pub(super) future: Pin<Box<dyn Future<Output = Option<Restored>> + Send>>,
}

/// A CONNECT whose middlewares are running.
pub(super) struct Connecting {
    pub(super) socket: Socket,
    pub(super) future: HandlerFuture,
}

/// A handler that has been started and is not finished.
pub(super) struct Running {
    pub(super) future: HandlerFuture,
    /// The tracing span of the handler.
    pub(super) span: Span,
    pub(super) call: Call,
    /// Whether it counts towards `max_in_flight`.
    pub(super) counted: bool,
    /// The size of the ack, if the handler has finished and only its ack waits.
    pub(super) ack_bytes: usize,
    /// When the handler was started, if running times are measured.
    pub(super) began: Option<Instant>,
}

impl Running {
    pub(super) fn belongs_to(&self, space: &Space) -> bool {
        self.counted && self.call.socket.same(&space.socket)
    }
}

/// The values needed to report how a handler ended.
pub(super) struct Call {
    pub(super) event: Box<str>,
    pub(super) socket: Socket,
    pub(super) responder: Option<Responder>,
}
