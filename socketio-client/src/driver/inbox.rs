//! Events and connection changes that wait for handlers.

use std::sync::Arc;

use socketio_parser::{AckId, Args};

use crate::{
    error::{ConnectError, DisconnectReason},
    socket::{Responder, Socket, handlers::Context},
};

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
