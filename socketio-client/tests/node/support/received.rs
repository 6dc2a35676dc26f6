//! The events that a client received, in order.

use serde::de::DeserializeOwned;
use socketio_client::{ConnectError, Data, DisconnectReason, Socket};
use tokio::sync::mpsc;

use super::within;

pub(crate) struct Received<T>(mpsc::UnboundedReceiver<T>);

impl<T> Received<T> {
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = T> {
        let next = within(self.0.recv());
        async { next.await.expect("the handler is still there") }
    }

    /// Returns the events received since the last call.
    pub(crate) fn take_received(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// The arguments of an event: a tuple holds all of them, any other type the first.
pub(crate) fn events<T>(socket: &Socket, event: &str) -> Received<T>
where
    T: DeserializeOwned + Send + 'static,
{
    let (sender, received) = mpsc::unbounded_channel();
    socket.on(event, move |Data(args): Data<T>| {
        let _ = sender.send(args);
        async {}
    });
    Received(received)
}

pub(crate) fn connections(socket: &Socket) -> Received<()> {
    let (sender, received) = mpsc::unbounded_channel();
    socket.on_connect(move || {
        let _ = sender.send(());
        async {}
    });
    Received(received)
}

pub(crate) fn disconnections(socket: &Socket) -> Received<DisconnectReason> {
    let (sender, received) = mpsc::unbounded_channel();
    socket.on_disconnect(move |reason: DisconnectReason| {
        let _ = sender.send(reason);
        async {}
    });
    Received(received)
}

pub(crate) fn connect_errors(socket: &Socket) -> Received<ConnectError> {
    let (sender, received) = mpsc::unbounded_channel();
    socket.on_connect_error(move |error: ConnectError| {
        let _ = sender.send(error);
        async {}
    });
    Received(received)
}
