//! A socket for programs without an async runtime (feature `blocking`): scripts, threads, tests.
//!
//! A [`Socket`] runs its connection in a thread of its own. Its methods block the calling thread.
//! Reconnection, recovery, queues and limits are those of the [async socket](crate::Socket).
//!
//! ```
//! use std::time::Duration;
//! use socketio_client::{ClientConfig, SocketConfig, blocking::Socket};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let io = socketio_server::Server::new();
//! # io.on_connection(|socket: socketio_server::Socket| async move {
//! #     socket.emit("welcome", "ann")?;
//! #     Ok(())
//! # });
//! # io.on("upper", |socketio_server::Data(text): socketio_server::Data<String>| text.to_uppercase());
//! # let url = format!("http://{}", runtime.block_on(io.bind("127.0.0.1:0"))?.local_addr()?);
//! let socket = Socket::new(&url, ClientConfig::default(), SocketConfig::default())?;
//! socket.on("said", |_, (from, text): (String, String)| println!("{from}: {text}"));
//! socket.on("name?", |socket, ()| socket.id().unwrap_or_default()); // the ack for the server
//! let welcome = socket.prepare_next::<String>("welcome"); // holds the event from now on
//! socket.connect()?;
//! assert_eq!(welcome.wait(Duration::from_secs(5))?, "ann");
//! assert_eq!(socket.emit_with_ack::<String>("upper", "hello")?, "HELLO");
//! socket.disconnect(); // returns when everything has been sent
//! # Ok(()) }
//! ```
//!
//! # Panics
//!
//! The methods that block panic if async code calls them ("Cannot start a runtime from within a
//! runtime"), because they would block the thread of its runtime. Use the [async
//! socket](crate::Socket) in async code, or `tokio::task::spawn_blocking`.

use std::{fmt, io, sync::Arc, thread, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_core::{HandlerError, IntoReply};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::spawn_blocking,
};

use crate::{
    config::{ClientConfig, SocketConfig},
    error::{AckError, ClientError, ConnectError, DisconnectReason, EmitError, NextError},
    manager::Manager,
    registration::ListenerHandle,
    socket::handlers::Data,
};

/// Connects to the namespace named by the path of a URL, with the default options, and waits until
/// the server has accepted the socket. To add callbacks before, or to set options, see
/// [`Socket::new`].
///
/// # Errors
///
/// Returns the error of the first attempt. This function does not retry.
///
/// # Panics
///
/// Panics if async code calls it.
#[track_caller]
pub fn connect(url: &str) -> Result<Socket, ConnectError> {
    let socket = Socket::new(url, ClientConfig::default(), SocketConfig::default())?;
    socket.connect()?;
    Ok(socket)
}

/// One namespace over a connection of its own, whose methods block. A clone is another handle of
/// the same socket. See the [module](self) for an example.
///
/// Dropping the last handle closes the connection in the background. A program that ends right
/// afterwards should call [`disconnect`](Self::disconnect) first, which waits until all events have
/// been sent.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    socket: crate::Socket,
    runtime: Handle,
    /// Ends the thread, once the connection has been closed.
    end: Option<oneshot::Sender<Manager>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(self.socket.manager().clone());
        }
    }
}

impl Socket {
    /// Creates a socket that is not connected, so that callbacks can be added, and starts its
    /// thread. The path of the URL names the namespace.
    ///
    /// `config.auto_connect` has no effect, and `socket_config.max_in_flight` is 1, because the
    /// callbacks run one after another.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL names no server, the options are invalid, or the operating
    /// system starts no thread.
    pub fn new(
        url: &str,
        config: ClientConfig,
        socket_config: SocketConfig,
    ) -> Result<Self, ClientError> {
        let (runtime, end) = start().map_err(|error| ClientError::Thread(Arc::new(error)))?;
        let manager = {
            let _inside = runtime.enter();
            Manager::with_config(url, config.auto_connect(false))?
        };
        let nsp = manager.nsp().to_string();
        let socket = manager.socket_with(&nsp, socket_config.max_in_flight(1));
        Ok(Self(Arc::new(Inner { socket, runtime, end: Some(end) })))
    }

    /// Connects, unless the socket is connected, and waits until the server has accepted the
    /// socket.
    ///
    /// # Errors
    ///
    /// Returns the error of the first attempt (`connect_error` in Node). Whether the client retries
    /// in the background depends on the kind of [`ConnectError`].
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn connect(&self) -> Result<(), ConnectError> {
        self.0.runtime.block_on(self.0.socket.connect())
    }

    /// Waits until the socket is connected, as long as the client tries again. See
    /// [`Socket::connected`](crate::Socket::connected).
    ///
    /// # Errors
    ///
    /// Returns [`ConnectError::Inactive`] if no connection was requested. Otherwise returns the
    /// error of the last attempt, as soon as no attempt follows.
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn connected(&self) -> Result<(), ConnectError> {
        self.0.runtime.block_on(self.0.socket.connected())
    }

    /// Returns the id that the server gave to the socket, or `None` while it is not connected.
    pub fn id(&self) -> Option<String> {
        self.0.socket.id()
    }

    /// Returns whether the server has accepted the socket and the connection is alive.
    pub fn is_connected(&self) -> bool {
        self.0.socket.is_connected()
    }

    /// Queues an event for the server and returns at once. The arguments are those of
    /// [`Socket::emit`](crate::Socket::emit).
    ///
    /// # Errors
    ///
    /// Returns [`EmitError::Full`] if the queue is full, in which case [`ready`](Self::ready) waits
    /// for room. Returns another [`EmitError`] if the event cannot be encoded or is larger than the
    /// server accepts.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.0.socket.emit(event, args)
    }

    /// Waits until the queue has room for the event that [`EmitError::Full`] refused.
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn ready(&self) {
        self.0.runtime.block_on(self.0.socket.ready());
    }

    /// Sends an event and waits for the server's ack, up to
    /// [`ack_timeout`](SocketConfig::ack_timeout).
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, AckError> {
        self.0.runtime.block_on(self.0.socket.emit_with_ack(event, args))
    }

    /// Adds a callback for an event. It gets this socket and the arguments, decoded like
    /// [`Data`]: a tuple is the list of arguments, any other type is the first
    /// argument, and `()` ignores them. Its return value is the ack for the server.
    ///
    /// Callbacks run in a thread of their own, one at a time, in the order of the events. They may
    /// block: meanwhile the socket still resolves acks and replies to pings, and further events
    /// wait. A callback that waits for an event with [`next`](Self::next) therefore does not get
    /// it.
    ///
    /// The callback should use the socket of its argument. A callback that captures a handle keeps
    /// the connection alive.
    pub fn on<T, R>(
        &self,
        event: &str,
        callback: impl Fn(&Socket, T) -> R + Send + Sync + 'static,
    ) -> ListenerHandle
    where
        T: DeserializeOwned + Send + 'static,
        R: IntoReply + Send + 'static,
    {
        let (callback, inner) = (Arc::new(callback), Arc::downgrade(&self.0));
        let handler = move |Data(args): Data<T>| {
            let (callback, inner) = (callback.clone(), inner.clone());
            async move {
                // No handle is left, so the connection ends.
                let socket = Socket(inner.upgrade().ok_or(ConnectError::Stopped)?);
                match spawn_blocking(move || callback(&socket, args)).await {
                    Ok(reply) => Ok::<R, HandlerError>(reply),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => Err(error.into()),
                }
            }
        };
        self.0.socket.on(event, handler).listener()
    }

    /// Adds a callback for disconnections. It runs like those of [`on`](Self::on).
    pub fn on_disconnect(
        &self,
        callback: impl Fn(DisconnectReason) + Send + Sync + 'static,
    ) -> ListenerHandle {
        let callback = Arc::new(callback);
        let handler = move |reason: DisconnectReason| {
            let callback = callback.clone();
            async move { Ok::<_, HandlerError>(spawn_blocking(move || callback(reason)).await?) }
        };
        self.0.socket.on_disconnect(handler).listener()
    }

    /// Waits for the next event of this name that arrives after this call. An event that arrives
    /// before the call is missed: if the server sends it in response to an event, use
    /// [`prepare_next`](Self::prepare_next).
    ///
    /// # Errors
    ///
    /// Returns [`NextError::Timeout`] if the event does not arrive in time. See [`NextError`] for
    /// the other errors.
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn next<T: DeserializeOwned>(
        &self,
        event: &str,
        timeout: Duration,
    ) -> Result<T, NextError> {
        self.prepare_next(event).wait(timeout)
    }

    /// Keeps the next event of this name that arrives from now on, until [`Next::wait`] returns it.
    pub fn prepare_next<T: DeserializeOwned>(&self, event: &str) -> Next<T> {
        Next { next: self.0.socket.next(event), socket: self.clone() }
    }

    /// Disconnects, and waits until the connection is closed. Events that were emitted before are
    /// sent first, within [`close_timeout`](ClientConfig::close_timeout).
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn disconnect(&self) {
        self.0.socket.disconnect();
        self.0.runtime.block_on(self.0.socket.manager().closed());
    }

    /// Returns the async socket. Its handlers run in the thread of the connection, so they must not
    /// block.
    pub fn async_socket(&self) -> &crate::Socket {
        &self.0.socket
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.socket.fmt(f)
    }
}

/// The next event of a name. Returned by [`Socket::prepare_next`].
#[derive(Debug)]
#[must_use = "the event is taken by `wait`"]
pub struct Next<T> {
    next: crate::Next<T>,
    socket: Socket,
}

impl<T: DeserializeOwned> Next<T> {
    /// Waits until the event has arrived, at most for this time.
    ///
    /// # Errors
    ///
    /// Returns [`NextError::Timeout`] if the event does not arrive in time. See [`NextError`] for
    /// the other errors.
    ///
    /// # Panics
    ///
    /// Panics if async code calls it.
    #[track_caller]
    pub fn wait(self, timeout: Duration) -> Result<T, NextError> {
        let Self { next, socket } = self;
        let waiting = async { tokio::time::timeout(timeout, next).await };
        socket.0.runtime.block_on(waiting).unwrap_or(Err(NextError::Timeout))
    }
}

/// Starts a thread that runs a connection until it gets the manager to close.
fn start() -> io::Result<(Handle, oneshot::Sender<Manager>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (sender, end) = oneshot::channel::<Manager>();
    let run = move || {
        runtime.block_on(async {
            if let Ok(manager) = end.await {
                manager.close();
                manager.closed().await;
            }
        });
    };
    thread::Builder::new().name("socketio-client".to_owned()).spawn(run)?;
    Ok((handle, sender))
}
