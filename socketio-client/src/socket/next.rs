//! The next event of a name.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use serde::de::DeserializeOwned;
use socketio_parser::Args;
use tokio::sync::oneshot;

use super::Socket;
use crate::{
    error::{ConnectError, DisconnectReason, NextError},
    registration::ListenerHandle,
    sync::{Mutex, lock},
};

/// Waits for the next event of a name. Returned by [`Socket::next`].
///
/// Dropping it stops waiting. It is a handle of the socket, so the connection stays alive
/// meanwhile.
#[must_use = "futures do nothing unless awaited"]
pub struct Next<T> {
    outcome: oneshot::Receiver<Result<Args, NextError>>,
    /// Waits for the end of the last attempt to connect.
    given_up: Pin<Box<dyn Future<Output = ConnectError> + Send + Sync>>,
    socket: Socket,
    listeners: [ListenerHandle; 3],
    decoded: PhantomData<fn() -> T>,
}

impl Socket {
    /// Waits for the next event of this name that arrives after this call, and decodes its
    /// arguments like [`Data`](crate::Data): a tuple is the list of arguments, any other type is
    /// the first argument. Handlers of the event run as well.
    ///
    /// The future holds at most one event. To receive every event, use [`events`](Self::events) or
    /// a handler, because events between two calls of `next` are missed. It sends no ack.
    ///
    /// ```
    /// use socketio_client::{ClientConfig, Manager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let io = socketio_server::Server::new();
    /// # io.on_connection(|socket: socketio_server::Socket| async move {
    /// #     socket.emit("welcome", &("you", 7))?;
    /// #     Ok(())
    /// # });
    /// # let url = format!("http://{}", io.bind("127.0.0.1:0").await?.local_addr()?);
    /// let config = ClientConfig::default().auto_connect(false);
    /// let socket = Manager::with_config(&url, config)?.socket("/");
    /// let welcome = socket.next::<(String, u32)>("welcome"); // waits from now on
    /// socket.connect().await?;
    /// assert_eq!(welcome.await?, ("you".to_owned(), 7));
    /// # Ok(()) }
    /// ```
    ///
    /// While the socket is not connected, the future waits for the connection too. Limit the time
    /// with `tokio::time::timeout`.
    ///
    /// # Errors
    ///
    /// Returns an error in each of these cases ([`NextError`]): the socket is disconnected first,
    /// even if it connects again, because the event may have been lost in the meantime; the
    /// connection fails and the client does not try again by itself; or the arguments have another
    /// type.
    pub fn next<T: DeserializeOwned>(&self, event: &str) -> Next<T> {
        let (sender, outcome) = oneshot::channel();
        // Only the event's listener owns the sender, so `off` ends the wait.
        let sender = Arc::new(Mutex::new(Some(sender)));
        let of_disconnect = Arc::downgrade(&sender);
        let of_error = of_disconnect.clone();
        let last_error = Arc::new(Mutex::new(None));
        let last = last_error.clone();
        let send = |sender: &Mutex<Option<oneshot::Sender<_>>>, outcome| {
            if let Some(sender) = lock(sender).take() {
                let _ = sender.send(outcome);
            }
        };
        let received = self.once(event, move |args: Args| {
            send(&sender, Ok(args));
            async {}
        });
        let disconnected = self.on_disconnect(move |reason: DisconnectReason| {
            if let Some(sender) = of_disconnect.upgrade() {
                send(&sender, Err(NextError::Disconnected(reason)));
            }
            async {}
        });
        let failed = self.on_connect_error(move |socket: Socket, error: ConnectError| {
            if socket.is_active() {
                *lock(&last) = Some(error);
            } else if let Some(sender) = of_error.upgrade() {
                send(&sender, Err(NextError::Connect(error)));
            }
            async {}
        });
        let listeners = [received, disconnected, failed].map(|it| it.listener());
        if self.manager.shared().is_ended() {
            listeners[0].remove();
        }
        let socket = self.clone();
        let given_up = Box::pin(async move {
            // An active socket without a connection has given up.
            let find = || lock(&last_error).clone().filter(|_| socket.is_active());
            socket.manager.shared().closed_with(find).await
        });
        Next { outcome, given_up, socket: self.clone(), listeners, decoded: PhantomData }
    }
}

impl<T: DeserializeOwned> Future for Next<T> {
    type Output = Result<T, NextError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.outcome).poll(cx) {
            Poll::Ready(Ok(args)) => Poll::Ready(Ok(args?.decode()?)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(NextError::Removed)),
            Poll::Pending => {
                self.given_up.as_mut().poll(cx).map(|error| Err(NextError::Connect(error)))
            }
        }
    }
}

impl<T> Drop for Next<T> {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.remove();
        }
    }
}

impl<T> fmt::Debug for Next<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("socket", &self.socket).finish_non_exhaustive()
    }
}
