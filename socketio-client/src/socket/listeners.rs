//! Handlers of events and of connection changes, and listeners of outgoing events.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use engineio_parser::Frames;
use serde::{Serialize, de::DeserializeOwned};
use socketio_core::{EventListeners, Listener, ListenerId};
use socketio_parser::{Args, ByteString, Content, Decoder, Event, Limits, Parser};

use super::{
    Socket,
    handlers::{
        ConnectContext, ConnectErrorContext, DisconnectContext, ErasedHandler, EventContext,
        EventHandler, Handler, TypedHandler, erase, erase_typed,
    },
};
use crate::registration::Registration;

/// The listeners of a socket. `connect`, `disconnect` and `connect_error` have reserved names that
/// the server cannot send.
#[derive(Clone, Default)]
pub(crate) struct Listeners {
    pub(crate) events: EventListeners<EventHandler>,
    pub(crate) connect: Vec<Listener<ErasedHandler<ConnectContext>>>,
    pub(crate) connect_error: Vec<Listener<ErasedHandler<ConnectErrorContext>>>,
    pub(crate) disconnect: Vec<Listener<ErasedHandler<DisconnectContext>>>,
    pub(super) outgoing: Vec<Listener<OutgoingListener>>,
}

impl Listeners {
    fn add(&mut self, event: &str, listener: Listener<EventHandler>) -> ListenerId {
        match event {
            "connect" => listener
                .map(|handler| -> ErasedHandler<ConnectContext> {
                    Arc::new(move |context| handler(&mut context.clone().into_event()?))
                })
                .append_to(&mut self.connect),
            "connect_error" => listener
                .map(|handler| -> ErasedHandler<ConnectErrorContext> {
                    Arc::new(move |context| handler(&mut context.clone().into_event()?))
                })
                .append_to(&mut self.connect_error),
            "disconnect" => listener
                .map(|handler| -> ErasedHandler<DisconnectContext> {
                    Arc::new(move |context| handler(&mut context.clone().into_event()?))
                })
                .append_to(&mut self.disconnect),
            _ => self.events.add(event, listener),
        }
    }

    fn remove(&mut self, event: &str) {
        match event {
            "connect" => self.connect.clear(),
            "connect_error" => self.connect_error.clear(),
            "disconnect" => self.disconnect.clear(),
            _ => drop(self.events.remove(event)),
        }
    }

    /// Removes a listener. Returns whether it was there and had not run for the last time.
    pub(super) fn remove_listener(&mut self, id: ListenerId) -> bool {
        fn from<H>(list: &mut Vec<Listener<H>>, id: ListenerId) -> Option<bool> {
            Listener::remove_from(list, id).map(|listener| !listener.is_spent())
        }
        from(&mut self.connect, id)
            .or_else(|| from(&mut self.connect_error, id))
            .or_else(|| from(&mut self.disconnect, id))
            .or_else(|| from(&mut self.outgoing, id))
            .or_else(|| self.events.remove_listener(id).map(|listener| !listener.is_spent()))
            .unwrap_or(false)
    }

    /// Removes the listeners of an event that run once and have run.
    pub(crate) fn prune(&mut self, event: &str) {
        match event {
            "connect" => self.connect.retain(|listener| !listener.is_spent()),
            "connect_error" => self.connect_error.retain(|listener| !listener.is_spent()),
            "disconnect" => self.disconnect.retain(|listener| !listener.is_spent()),
            _ => drop(self.events.prune(event)),
        }
    }

    fn names(&self) -> Vec<String> {
        let changes = [
            ("connect", self.connect.is_empty()),
            ("connect_error", self.connect_error.is_empty()),
            ("disconnect", self.disconnect.is_empty()),
        ];
        let changes = changes.into_iter().filter(|(_, is_empty)| !is_empty);
        let mut names = self.events.names();
        names.extend(changes.map(|(name, _)| name.to_owned()));
        names
    }
}

type OutgoingListener = Arc<dyn Fn(&Args) + Send + Sync>;

impl Socket {
    /// Adds a handler for an event of the server. Events start their handlers in the order of
    /// arrival. Several handlers of one event start in the order in which they were added. The
    /// return value is the ack, and the first ack is sent. A handler that returns `()` sends none.
    ///
    /// A handler is an async or plain function whose arguments are [extractors](EventContext). It
    /// is called for each event, so it must clone captured values before it moves them into the
    /// future.
    ///
    /// As in Node, handlers of `connect`, `disconnect` and `connect_error` run when the connection
    /// changes. A server cannot send events of these names. These handlers get texts as arguments.
    /// Handlers of [`on_disconnect`](Self::on_disconnect) and
    /// [`on_connect_error`](Self::on_connect_error) get typed values.
    ///
    /// ```no_run
    /// use socketio_client::{Data, Socket};
    ///
    /// # fn add(socket: Socket) {
    /// socket.on("said", |Data((from, text)): Data<(String, String)>| async move {
    ///     println!("{from}: {text}");
    /// });
    /// socket.on("double", |Data(number): Data<f64>| number * 2.0); // the ack
    /// # }
    /// ```
    pub fn on<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|it| it.add(event, Listener::new(erase(handler))))
    }

    /// Adds a handler that runs only for the next event of this name.
    ///
    /// ```no_run
    /// use socketio_client::{Data, Socket};
    ///
    /// # fn add(socket: Socket) {
    /// socket.once("welcome", |Data(text): Data<String>| async move { println!("{text}") });
    /// # }
    /// ```
    pub fn once<M>(
        &self,
        event: &str,
        handler: impl Handler<EventContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|it| it.add(event, Listener::once(erase(handler))))
    }

    /// Adds a handler for a typed event, whose [`Event`] fixes the types of the arguments and of
    /// the ack. A handler that returns `()` sends an ack without arguments.
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
    pub fn handle<A, R, K>(
        &self,
        event: Event<A, R>,
        handler: impl TypedHandler<Socket, A, R, K>,
    ) -> Registration<'_, Self>
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
    {
        self.register(|it| it.add(event.name(), Listener::new(erase_typed(handler))))
    }

    /// Removes all handlers of an event. [`ListenerHandle::remove`](crate::ListenerHandle::remove)
    /// removes a single one.
    pub fn off(&self, event: &str) -> &Self {
        self.slot.change_listeners(|it| it.remove(event));
        self
    }

    /// Removes the handlers of all named events, including those of `connect`, `disconnect` and
    /// `connect_error` (`off()` in Node).
    pub fn remove_all_listeners(&self) -> &Self {
        self.slot.change_listeners(|it| {
            drop(it.events.remove_all());
            it.connect.clear();
            it.connect_error.clear();
            it.disconnect.clear();
        });
        self
    }

    /// Adds a handler that runs after the socket has connected and queued events have been sent. It
    /// runs after each reconnection too.
    ///
    /// ```no_run
    /// # fn add(socket: socketio_client::Socket) {
    /// use socketio_client::Socket;
    ///
    /// socket.on_connect(|socket: Socket| println!("connected as {:?}", socket.id()));
    /// # }
    /// ```
    pub fn on_connect<M>(
        &self,
        handler: impl Handler<ConnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|it| Listener::new(erase(handler)).append_to(&mut it.connect))
    }

    /// Adds a handler that runs when an attempt to connect the socket has failed.
    ///
    /// ```no_run
    /// # fn add(socket: socketio_client::Socket) {
    /// use socketio_client::ConnectError;
    ///
    /// socket.on_connect_error(|error: ConnectError| println!("{error}"));
    /// # }
    /// ```
    pub fn on_connect_error<M>(
        &self,
        handler: impl Handler<ConnectErrorContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|it| Listener::new(erase(handler)).append_to(&mut it.connect_error))
    }

    /// Adds a handler that runs after the socket was disconnected.
    ///
    /// ```no_run
    /// # fn add(socket: socketio_client::Socket) {
    /// use socketio_client::DisconnectReason;
    ///
    /// socket.on_disconnect(|reason: DisconnectReason| println!("{reason}"));
    /// # }
    /// ```
    pub fn on_disconnect<M>(
        &self,
        handler: impl Handler<DisconnectContext, M>,
    ) -> Registration<'_, Self> {
        self.register(|it| Listener::new(erase(handler)).append_to(&mut it.disconnect))
    }

    /// Adds a handler for every event of the server. It starts before the handlers of the event
    /// itself, and may send the ack.
    ///
    /// ```no_run
    /// use socketio_client::{Args, Socket};
    ///
    /// # fn watch(socket: Socket) {
    /// socket.on_any(|args: Args| async move { println!("{} {}", args.event(), args.raw()) });
    /// # }
    /// ```
    pub fn on_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.register(|it| Listener::new(erase(handler)).append_to(&mut it.events.any))
    }

    /// Adds a handler like [`on_any`](Self::on_any), before the existing ones.
    pub fn prepend_any<M>(&self, handler: impl Handler<EventContext, M>) -> Registration<'_, Self> {
        self.register(|it| Listener::new(erase(handler)).prepend_to(&mut it.events.any))
    }

    /// Removes the handlers that were added for every event, and ends the streams of
    /// [`events`](Self::events).
    pub fn off_any(&self) -> &Self {
        drop(self.slot.change_listeners(|it| std::mem::take(&mut it.events.any)));
        self
    }

    /// Returns the names of the events that have handlers.
    pub fn event_names(&self) -> Vec<String> {
        self.slot.listeners().names()
    }

    /// Adds a listener for every emitted event, but not for acks. `emit` calls the listener before
    /// it queues the event. The listener gets the arguments as the server does.
    ///
    /// ```no_run
    /// # fn watch(socket: socketio_client::Socket) {
    /// socket.on_any_outgoing(|args| println!("{} {}", args.event(), args.raw()));
    /// # }
    /// ```
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.register(|it| outgoing(listener).append_to(&mut it.outgoing))
    }

    /// Adds a listener like [`on_any_outgoing`](Self::on_any_outgoing), before the existing ones.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&Args) + Send + Sync + 'static,
    ) -> Registration<'_, Self> {
        self.register(|it| outgoing(listener).prepend_to(&mut it.outgoing))
    }

    /// Removes the listeners added by [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) -> &Self {
        drop(self.slot.change_listeners(|it| std::mem::take(&mut it.outgoing)));
        self
    }

    fn register(&self, add: impl FnOnce(&mut Listeners) -> ListenerId) -> Registration<'_, Self> {
        Registration::in_socket(self, &self.slot, self.slot.change_listeners(add))
    }
}

fn outgoing(listener: impl Fn(&Args) + Send + Sync + 'static) -> Listener<OutgoingListener> {
    Listener::new(Arc::new(listener))
}

impl Listeners {
    /// Calls the listeners of an outgoing event. They receive the arguments as the server does,
    /// decoded from the frames that are sent.
    pub(super) fn notify_outgoing(&self, parser: Parser, frames: &Frames) {
        let Some(args) = read(parser, frames) else { return };
        for listener in &self.outgoing {
            if catch_unwind(AssertUnwindSafe(|| (listener.handler)(&args))).is_err() {
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
