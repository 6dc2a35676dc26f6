//! A socket's events as a stream.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use futures_core::Stream;
use socketio_parser::Args;
use tokio::sync::mpsc;

use crate::{
    ack::Ack,
    dispatch::{Handler, erase},
    error::HandlerError,
    model::{Callback, Context as EventContext, HandlerFuture, Socket},
};

/// One event of the server.
#[derive(Debug)]
pub struct Received {
    /// The name and the arguments.
    pub args: Args,
    /// Answers it.
    pub ack: Ack,
}

impl Received {
    /// The event's name.
    pub fn event(&self) -> &str {
        self.args.event()
    }
}

/// The events of a socket, in order. Dropping it ends the subscription.
///
/// ```no_run
/// # async fn run(socket: socketio_client::Socket) -> Result<(), Box<dyn std::error::Error>> {
/// let mut events = socket.events();
/// while let Some(event) = events.next().await {
///     println!("{} {}", event.event(), event.args.raw());
///     event.ack.send("got it")?;
/// }
/// # Ok(()) }
/// ```
pub struct Events {
    events: mpsc::Receiver<Received>,
    /// As long as there is a reader, the connection has a handle.
    socket: Socket,
    handler: Weak<Callback>,
}

impl Events {
    /// The next event. None only where the runtime has shut down.
    pub async fn next(&mut self) -> Option<Received> {
        self.events.recv().await
    }

    fn unsubscribe(&self) {
        let handler = self.handler.as_ptr();
        self.socket.space.change_table(|table| {
            table.remove_any(|it| std::ptr::addr_eq(Arc::as_ptr(it), handler));
        });
    }
}

impl Stream for Events {
    type Item = Received;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        self.get_mut().events.poll_recv(cx)
    }
}

impl Socket {
    /// The events of the server from now on, as a stream, beside the handlers. One that is not read makes events wait as a
    /// slow handler does: up to [`max_in_flight`](crate::SocketConfig::max_in_flight) of them, then in the inbox, and then in
    /// the network. Connecting and disconnecting are no events.
    pub fn events(&self) -> Events {
        // The queue is that of the handlers; one place lets a reader that keeps up take an event without waiting.
        let (sender, events) = mpsc::channel(1);
        let handler = erase(Subscription(sender));
        let subscription = Arc::downgrade(&handler);
        self.space.change_table(|table| table.add_any(handler, false));
        let events = Events { events, socket: self.clone(), handler: subscription };
        if self.manager.0.0.is_ended() {
            events.unsubscribe();
        }
        events
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("socket", &self.socket).finish_non_exhaustive()
    }
}

struct Subscription(mpsc::Sender<Received>);

impl Handler<Subscription> for Subscription {
    fn start(&self, context: EventContext) -> Result<HandlerFuture, HandlerError> {
        let sender = self.0.clone();
        Ok(Box::pin(async move {
            let Some(args) = context.args.clone() else { return Ok(()) };
            // Nobody reads it any more: that is no failure.
            let _ = sender.send(Received { args, ack: context.ack() }).await;
            Ok(())
        }))
    }
}
