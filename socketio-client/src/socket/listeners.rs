//! Handlers of events and of connection changes, and listeners of outgoing events.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use engineio_parser::Frames;
use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{Args, ByteString, Content, Decoder, Event, Limits, Parser};

use super::{
    Socket,
    handlers::{Handler, TypedHandler, erase, erase_typed},
    slot::NamespaceSlot,
};

pub(super) type OutgoingListener = Arc<dyn Fn(&Args) + Send + Sync>;

impl Socket {
    /// Adds a handler for an event of the server. Events start their handlers in the order of
    /// arrival. Several handlers of one event start in the order in which they were added.
    ///
    /// As in Node, `connect`, `disconnect` and `connect_error` report changes of the connection. A
    /// server cannot send events of these names.
    ///
    /// ```no_run
    /// use socketio_client::{ConnectError, Data, DisconnectReason, Socket};
    ///
    /// # fn add(socket: Socket) {
    /// socket.on("said", |Data((from, text)): Data<(String, String)>| async move {
    ///     println!("{from}: {text}");
    /// });
    /// socket.on("disconnect", |reason: DisconnectReason| async move { println!("{reason}") });
    /// socket.on("connect_error", |error: ConnectError| async move { println!("{error}") });
    /// # }
    /// ```
    pub fn on<M>(&self, event: &str, handler: impl Handler<M>) {
        self.slot.change_table(|table| table.add(event, erase(handler), false));
    }

    /// Adds a handler that runs only for the next event of this name.
    pub fn once<M>(&self, event: &str, handler: impl Handler<M>) {
        self.slot.change_table(|table| table.add(event, erase(handler), true));
    }

    /// Adds a handler for a typed event. Its return value is the ack of the type in the contract.
    ///
    /// ```no_run
    /// use socketio_client::{Event, Socket};
    ///
    /// const ADD: Event<(u32, u32), u32> = Event::new("add");
    ///
    /// # fn add(socket: Socket) {
    /// socket.handle(ADD, |_: Socket, (a, b)| async move { a + b });
    /// # }
    /// ```
    pub fn handle<A, R>(&self, event: Event<A, R>, handler: impl TypedHandler<A, R>)
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.slot.change_table(|table| table.add(event.name(), erase_typed(handler), false));
    }

    /// Removes all handlers of an event.
    pub fn off(&self, event: &str) {
        self.slot.change_table(|table| table.remove(event));
    }

    /// Adds a handler that runs when the socket has connected and queued events have been sent. The
    /// same as `on("connect")`.
    pub fn on_connect<M>(&self, handler: impl Handler<M>) {
        self.on("connect", handler);
    }

    /// Adds a handler that runs when the socket could not be connected. The same as `on("connect_error")`.
    pub fn on_connect_error<M>(&self, handler: impl Handler<M>) {
        self.on("connect_error", handler);
    }

    /// Adds a handler that runs when the socket was disconnected. The same as `on("disconnect")`.
    pub fn on_disconnect<M>(&self, handler: impl Handler<M>) {
        self.on("disconnect", handler);
    }

    /// Adds a handler for every event of the server. It starts before the handlers of the event
    /// itself, and may send the ack.
    pub fn on_any<M>(&self, handler: impl Handler<M>) {
        self.slot.change_table(|table| table.add_any(erase(handler), false));
    }

    /// Adds a handler like [`on_any`](Self::on_any), before the existing ones.
    pub fn prepend_any<M>(&self, handler: impl Handler<M>) {
        self.slot.change_table(|table| table.add_any(erase(handler), true));
    }

    /// Removes the handlers that were added for every event.
    pub fn off_any(&self) {
        self.slot.change_table(|table| table.clear_any());
    }

    /// Returns the names of the events that have handlers.
    pub fn event_names(&self) -> Vec<String> {
        self.slot.table().names()
    }

    /// Adds a listener for every emitted event, but not for acks. Emit calls it before it queues
    /// the event. The listener receives the arguments as the server does.
    pub fn on_any_outgoing(&self, listener: impl Fn(&Args) + Send + Sync + 'static) {
        let listener: OutgoingListener = Arc::new(listener);
        self.slot.change_outgoing(|known| known.iter().cloned().chain([listener]).collect());
    }

    /// Removes the listeners added by [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) {
        self.slot.change_outgoing(|_| Arc::new([]));
    }
}

impl NamespaceSlot {
    /// Calls the listeners of an outgoing event. They receive the arguments as the server does,
    /// decoded from the frames that are sent.
    pub(super) fn notify_outgoing(&self, frames: &Frames) {
        if !self.has_outgoing.load(Ordering::Relaxed) {
            return;
        }
        let Some(args) = read(self.parser, frames) else { return };
        for listener in self.outgoing().iter() {
            if catch_unwind(AssertUnwindSafe(|| listener(&args))).is_err() {
                tracing::error!(target: "socketio::client", "a listener of outgoing events panicked");
            }
        }
    }
}

fn read(parser: Parser, frames: &Frames) -> Option<Args> {
    // No limits, because these frames come from this client.
    let limits = Limits::default().max_attachments(usize::MAX).max_attachment_bytes(usize::MAX);
    let mut decoder = Decoder::new(&limits).with_parser(parser);
    let mut packet = None;
    for frame in frames.iter() {
        let payload = frame.payload();
        let decoded = if frame.is_binary() {
            decoder.decode_binary(payload)
        } else {
            decoder.decode_text(ByteString::try_from(payload.slice(1.min(payload.len())..)).ok()?)
        };
        packet = decoded.ok()?;
    }
    match packet?.content {
        Content::Event { args, .. } => Some(args),
        _ => None,
    }
}
