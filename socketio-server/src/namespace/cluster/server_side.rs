//! Server-side events, from one server to another.

use std::{fmt, future::poll_fn, sync::Arc, task::Poll};

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{Body, NodeId, RequestId, ack_args};
use socketio_core::{ErasedHandler, FirstAck, HandlerContext, Reply};
use socketio_parser::Args;
use tokio::runtime::Handle;

use crate::{
    error::{EmitError, HandlerError},
    handlers::table::{EventListeners, Listener, ListenerId},
    namespace::cluster::membership::Membership,
    sync::{RwLock, read, write},
};

/// An event that another server of the cluster sent with `server_side_emit`: the context of
/// `on_server_side` handlers, and itself an extractor.
///
/// Further extractors: [`Data<T>`](crate::Data), [`EventName`](crate::EventName), [`Args`].
///
/// ```
/// use socketio_server::{Server, ServerEvent};
///
/// let io = Server::new();
/// io.of("/").on_server_side("whoami", |event: ServerEvent| async move {
///     let who: String = event.data()?;
///     event.reply(&format!("hello {who}"))?;
///     Ok(())
/// });
/// ```
#[derive(Clone)]
pub struct ServerEvent {
    pub(crate) args: Args,
    reply_sender: Option<Arc<ReplySender>>,
}

/// Sends a reply to the node that sent the event. Only the first reply of a node is sent.
struct ReplySender {
    membership: Arc<Membership>,
    to: NodeId,
    request: RequestId,
    first: FirstAck,
}

impl ServerEvent {
    /// Returns the name of the event.
    pub fn event(&self) -> &str {
        self.args.event()
    }

    /// Returns the arguments, undecoded.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// Decodes the arguments. A tuple is the list of arguments, any other type is a single one.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments have another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        Ok(self.args.decode()?)
    }

    /// Returns whether the sender requests a reply. If not, [`reply`](Self::reply) does nothing.
    pub fn wants_reply(&self) -> bool {
        self.reply_sender.is_some()
    }

    /// Sends a reply. Only the first reply of this node is sent, and only the first value of a
    /// tuple.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be encoded. The handler may then send another reply.
    pub fn reply<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), EmitError> {
        let Some(reply_sender) = &self.reply_sender else { return Ok(()) };
        let args = ack_args(value)?;
        let sent = reply_sender.first.send(|| {
            let request = reply_sender.request.clone();
            reply_sender
                .membership
                .reply(&reply_sender.to, Body::ServerSideEmitResponse { request, args });
            Ok(())
        });
        sent.map(drop)
    }
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvent")
            .field("args", &self.args)
            .field("wants_reply", &self.wants_reply())
            .finish()
    }
}

impl HandlerContext for ServerEvent {
    type Reply = Self;

    fn destination(&self) -> Self {
        self.clone()
    }
}

impl Reply for ServerEvent {
    type Waiting = ();

    fn reply<T: Serialize>(&mut self, value: &T) -> Result<(), HandlerError> {
        Ok(Self::reply(self, value)?)
    }

    fn into_waiting(self) {}
}

/// The handlers of a namespace for server-side events.
#[derive(Default)]
pub(crate) struct ServerHandlers(RwLock<EventListeners<ErasedHandler<ServerEvent>>>);

impl ServerHandlers {
    /// Adds a handler for an event, or for all events.
    pub(super) fn add(
        &self,
        event: Option<&str>,
        handler: ErasedHandler<ServerEvent>,
    ) -> ListenerId {
        let listener = Listener::new(handler);
        self.change(|listeners| match event {
            Some(event) => listeners.add(event, listener),
            None => listener.append_to(&mut listeners.any),
        })
    }

    /// Removes the handlers of an event.
    pub(super) fn remove(&self, event: &str) {
        drop(self.change(|listeners| listeners.remove(event)));
    }

    /// Removes the handlers of all events.
    pub(super) fn remove_any(&self) {
        drop(self.change(|listeners| std::mem::take(&mut listeners.any)));
    }

    /// Removes one handler. Returns whether it was there.
    pub(crate) fn remove_listener(&self, id: ListenerId) -> bool {
        self.change(|listeners| listeners.remove_listener(id)).is_some()
    }

    /// Changes the handlers. The returned value is dropped without holding the lock.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut EventListeners<ErasedHandler<ServerEvent>>) -> R,
    ) -> R {
        change(&mut write(&self.0))
    }

    /// Inserts the handlers of another namespace before the existing ones.
    pub(crate) fn precede(&self, other: &Self) {
        let mut first = read(&other.0).clone();
        self.change(|listeners| {
            first.append(listeners);
            *listeners = first;
        });
    }

    /// Returns the handlers of an event. Those of all events come first.
    pub(super) fn find(&self, event: &str) -> Vec<ErasedHandler<ServerEvent>> {
        let listeners = read(&self.0);
        let named = listeners.find(event);
        let all = listeners.any.iter().chain(named.iter().flat_map(|list| list.iter()));
        all.map(|listener| listener.handler.clone()).collect()
    }
}

/// Starts the handlers of an event in order, each in a task of its own, because there is no client
/// task that could run them.
pub(super) fn start(
    membership: &Arc<Membership>,
    runtime: &Handle,
    handlers: &[ErasedHandler<ServerEvent>],
    args: Args,
    reply_to: Option<(NodeId, RequestId)>,
) {
    let reply_sender = reply_to.map(|(to, request)| {
        let first = FirstAck::default();
        Arc::new(ReplySender { membership: membership.clone(), to, request, first })
    });
    for handler in handlers {
        let Some(place) = membership.begin_handler() else {
            let event = args.event();
            tracing::warn!(target: "socketio::cluster", event, "`max_handlers` handlers of server-side events are running: dropping an event");
            return;
        };
        let (handler, mut event) = (
            handler.clone(),
            ServerEvent { args: args.clone(), reply_sender: reply_sender.clone() },
        );
        let (started, after) = membership.next_handler();
        runtime.spawn(async move {
            let _place = place;
            let name = event.args.clone();
            // In a runtime with several threads, tasks may start in any order.
            if let Some(after) = after {
                let _ = after.await;
            }
            // User code runs in this task, so that a panic ends only this task.
            let result = async {
                let mut running = handler(&mut event)?;
                let first = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await;
                drop(started);
                match first {
                    Poll::Ready(result) => result,
                    Poll::Pending => running.await,
                }
            };
            if let Err(error) = result.await {
                let (event, error) = (name.event(), error.for_log());
                tracing::warn!(target: "socketio::cluster", event, error, "a handler of a server-side event failed");
            }
        });
    }
}
