//! Events that servers send to servers.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use serde::{Serialize, de::DeserializeOwned};
use socketio_adapter::{Body, NodeId, RequestId, answer_args};
use socketio_parser::Args;
use tokio::runtime::Handle;

use super::membership::Membership;
use crate::error::{EmitError, HandlerError};

/// An event that another server of the cluster sent with `server_side_emit`.
///
/// ```
/// use socketio_server::{Server, ServerEvent};
///
/// let io = Server::new();
/// io.of("/").on_server_side("whoami", |event: ServerEvent| async move {
///     let who: String = event.data()?;
///     event.answer(&format!("hello {who}"))?;
///     Ok(())
/// });
/// ```
#[derive(Clone)]
pub struct ServerEvent {
    args: Args,
    asker: Option<Arc<Asker>>,
}

/// Who waits for an answer. The first answer of a node is the one that is sent.
struct Asker {
    membership: Arc<Membership>,
    to: NodeId,
    request: RequestId,
    answered: AtomicBool,
}

impl ServerEvent {
    /// The name of the event.
    pub fn event(&self) -> &str {
        self.args.event()
    }

    /// The arguments, undecoded.
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// The arguments, decoded: a tuple is the list of them, anything else is one.
    ///
    /// # Errors
    ///
    /// They are of another type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        Ok(self.args.decode()?)
    }

    /// Whether the sender waits for an answer. If not, [`answer`](Self::answer) does nothing.
    pub fn wants_answer(&self) -> bool {
        self.asker.is_some()
    }

    /// Answers. The first answer of this node is sent; of a tuple, the first value.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded; another one may still be sent.
    pub fn answer<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), EmitError> {
        let Some(asker) = &self.asker else { return Ok(()) };
        let answer = answer_args(value)?;
        if !asker.answered.swap(true, Ordering::Relaxed) {
            let request = asker.request.clone();
            asker.membership.reply(&asker.to, Body::ServerSideEmitResponse { request, answer });
        }
        Ok(())
    }
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvent")
            .field("args", &self.args)
            .field("wants_answer", &self.wants_answer())
            .finish()
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;
type Erased = Arc<dyn Fn(ServerEvent) -> Running + Send + Sync>;

/// The handlers of server-side events of a namespace.
#[derive(Default)]
pub(crate) struct ServerHandlers(RwLock<Table>);

#[derive(Clone, Default)]
struct Table {
    any: Vec<Erased>,
    events: HashMap<Box<str>, Vec<Erased>>,
}

impl ServerHandlers {
    /// Adds a handler for an event, or for all of them.
    pub(super) fn add<F, Fut>(&self, event: Option<&str>, handler: F)
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let handler: Erased = Arc::new(move |event| Box::pin(handler(event)));
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Some(event) => table.events.entry(event.into()).or_default().push(handler),
            None => table.any.push(handler),
        }
    }

    /// Takes over the handlers of another namespace, where none are yet.
    pub(crate) fn copy(&self, other: &Self) {
        let table = other.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Takes over the handlers of another namespace, before its own.
    pub(crate) fn precede(&self, other: &Self) {
        let mut first = other.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        first.any.append(&mut table.any);
        for (event, handlers) in table.events.drain() {
            first.events.entry(event).or_default().extend(handlers);
        }
        *table = first;
    }

    /// The handlers of an event: first those of all events.
    pub(super) fn find(&self, event: &str) -> Vec<Erased> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.any.iter().chain(table.events.get(event).into_iter().flatten()).cloned().collect()
    }
}

/// Starts the handlers of an event, in order, each in a task of its own: there is no client whose task could run them.
pub(super) fn start(
    membership: &Arc<Membership>,
    runtime: &Handle,
    handlers: &[Erased],
    args: Args,
    asker: Option<(NodeId, RequestId)>,
) {
    let asker = asker.map(|(to, request)| {
        let answered = AtomicBool::new(false);
        Arc::new(Asker { membership: membership.clone(), to, request, answered })
    });
    for handler in handlers {
        let Some(place) = Place::take(membership) else {
            let event = args.event();
            membership.counters.here().cluster.too_many_handlers.one();
            tracing::warn!(target: "socketio::cluster", event, "too many handlers of server-side events");
            return;
        };
        let (handler, event) =
            (handler.clone(), ServerEvent { args: args.clone(), asker: asker.clone() });
        let (begun, after) = membership.next_handler();
        runtime.spawn(async move {
            let _place = place;
            let name = event.args.clone();
            // Tasks of a runtime with several threads begin in any order.
            if let Some(after) = after {
                let _ = after.await;
            }
            // The user's code is called here, where its panic ends this task alone.
            let mut running = handler(event);
            let first = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await;
            drop(begun);
            let result = match first {
                Poll::Ready(result) => result,
                Poll::Pending => running.await,
            };
            if let Err(error) = result {
                let event = name.event();
                tracing::warn!(target: "socketio::cluster", event, %error, "a handler of a server-side event failed");
            }
        });
    }
}

/// One of the handlers that may run.
struct Place(Arc<Membership>);

impl Place {
    fn take(membership: &Arc<Membership>) -> Option<Self> {
        let place = Self(membership.clone());
        let running = membership.handlers.fetch_add(1, Ordering::AcqRel);
        (running < membership.limits.get_max_handlers()).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.handlers.fetch_sub(1, Ordering::AcqRel);
    }
}
