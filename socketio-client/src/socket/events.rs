//! A socket's events as a stream.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use socketio_parser::Args;
use tokio::sync::mpsc;

use super::{Ack, Socket};
use crate::registration::ListenerHandle;

/// One event from the server.
#[derive(Debug)]
pub struct ReceivedEvent {
    /// The name and the arguments.
    pub args: Args,
    /// The ack of the event, which does nothing if the server did not request one.
    pub ack: Ack,
}

impl ReceivedEvent {
    /// Returns the name of the event.
    pub fn event(&self) -> &str {
        self.args.event()
    }
}

/// A stream of a socket's events, in order. Dropping it ends the subscription.
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
    events: mpsc::Receiver<ReceivedEvent>,
    /// Keeps the connection alive while the stream exists.
    socket: Socket,
    listener: ListenerHandle,
}

impl Events {
    /// Waits for the next event. Returns `None` only after the runtime has shut down.
    pub async fn next(&mut self) -> Option<ReceivedEvent> {
        self.events.recv().await
    }
}

impl Stream for Events {
    type Item = ReceivedEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReceivedEvent>> {
        self.get_mut().events.poll_recv(cx)
    }
}

impl Socket {
    /// Returns a stream of the events that arrive from now on. Handlers run as well. If the stream
    /// is not read, events wait as with a slow handler: up to
    /// [`max_in_flight`](crate::SocketConfig::max_in_flight) of them in the stream, the next in the
    /// inbox, and the rest in the network. The stream does not contain `connect`, `disconnect` and
    /// `connect_error`.
    pub fn events(&self) -> Events {
        // Events queue in running handlers. One slot lets a reader that keeps up take an event
        // without waiting.
        let (sender, events) = mpsc::channel(1);
        let listener = self.on_any(move |args: Args, ack: Ack| {
            let sender = sender.clone();
            async move {
                // A dropped stream is not an error.
                let _ = sender.send(ReceivedEvent { args, ack }).await;
            }
        });
        let listener = listener.listener();
        if self.manager.shared().is_ended() {
            listener.remove();
        }
        Events { events, socket: self.clone(), listener }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.listener.remove();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("socket", &self.socket).finish_non_exhaustive()
    }
}
