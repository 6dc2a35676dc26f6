//! Options of connection state recovery.

use std::time::Duration;

use engineio_server::Queued;

/// Options of connection state recovery. See [`ServerConfig::connection_state_recovery`].
///
/// A client that lost its connection may return to its session, unless either side has disconnected
/// deliberately. The socket then has the same id, rooms and
/// [data](crate::Socket::set_data), and [`Socket::recovered`](crate::Socket::recovered) returns
/// `true`. The client gets the events that it missed, each once and in order, before the response
/// to its CONNECT. The handlers of `on_connection` run as for every client. If the session is
/// unknown, or some of the missed events are no longer stored, the client gets a new session.
///
/// Recovery has these costs in every namespace. Each event that is not volatile and requests no ack
/// is stored for a while, within the limits below, and carries its offset as an additional
/// argument. Events of one namespace are delivered one after another. Events to a socket whose
/// client may still return are kept for it.
///
/// # Across nodes
///
/// By default a session can be recovered only on the node that lost it. If the
/// [adapter](crate::ServerConfig::adapter)'s engine keeps a log and sessions, it can be recovered
/// on any node. The engine then decides on `max_age`, `max_packets` and `max_bytes`. Typed data and
/// [reliable events](crate::Socket::emit_reliably) are still limited to clients that return to the
/// same node, because other nodes only know the [shared](crate::Socket::set_shared) value. This has
/// further costs:
///
/// - An event is published first, and delivered when the engine returns it, on this node too. Its
///   recipients are the sockets that are in its rooms at that time. `emit` returns
///   [`ClusterError::QueueFull`](crate::ClusterError::QueueFull) if the maximum number of events is
///   already being published (`max_queued_messages`). An event that the engine does not accept is
///   delivered on this node, and cannot be recovered. If the engine fails while it accepts an event,
///   or returns it after the `request_timeout`, this node delivers the event without the log. Until
///   the log returns it, the offset of each event also names up to 64 such events, so that no node
///   sends them again. Servers of Node refuse these offsets: a client that returns to one of them
///   meanwhile gets a new session.
/// - Acks, events that request an ack, and disconnections wait for the events that were emitted
///   before them. A socket that the server disconnects may therefore stay connected for a short
///   time.
/// - Volatile and local events, joins and leaves do not wait, and may overtake other events. A
///   client that moves to another node gets none of them twice, unless its former node crashes, or
///   it moves once more, before the other node gets the event.
/// - A client gets a new session if it missed more events than its queue can hold, or if the
///   session store does not respond within the cluster's `request_timeout`.
///
/// ```
/// use std::time::Duration;
/// use socketio_server::{Recovery, Server, ServerConfig, Socket};
///
/// let recovery = Recovery::default().max_disconnection_duration(Duration::from_secs(60));
/// let io = Server::with_config(ServerConfig::default().connection_state_recovery(recovery));
/// io.on_connection(|socket: Socket| async move {
///     if !socket.recovered() {
///         socket.join("lobby")?;
///     }
///     Ok(())
/// });
/// ```
///
/// [`ServerConfig::connection_state_recovery`]: crate::ServerConfig::connection_state_recovery
#[derive(Clone, Debug)]
#[must_use]
pub struct Recovery {
    pub(crate) max_disconnection_duration: Duration,
    pub(crate) skip_middlewares: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_packets: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_sessions: usize,
    pub(crate) max_reliable: Queued,
    pub(crate) crash_safe: bool,
    pub(crate) max_failed_claims: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: true,
            max_age: None,
            max_packets: 10_000,
            max_bytes: 16 << 20,
            max_sessions: 10_000,
            max_reliable: Queued { packets: 256, bytes: 1 << 20 },
            crash_safe: false,
            max_failed_claims: 256,
        }
    }
}

impl Recovery {
    /// Sets how long a client may stay disconnected (default 2 min).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_disconnection_duration(Duration::from_secs(300));
    /// ```
    pub fn max_disconnection_duration(mut self, duration: Duration) -> Self {
        self.max_disconnection_duration = duration;
        self
    }

    /// Sets whether a client that recovers its session skips the middlewares of the namespace
    /// (default `true`). If not, the client gets the events it missed only after the middlewares
    /// have accepted it.
    ///
    /// A session that was stored by a Node server does not name its namespace, so its client goes
    /// through the middlewares in any case. A middleware that sets data should check
    /// [`Socket::recovered`](crate::Socket::recovered) first.
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().skip_middlewares(false);
    /// ```
    pub fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// Sets the maximum age of events that can be recovered (default: `max_disconnection_duration`
    /// plus the time until a vanished client is detected).
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_age(Duration::from_secs(600));
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets how many events are stored per namespace (default 10 000). A client that missed older
    /// events gets a new session.
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_packets(1000);
    /// ```
    pub fn max_packets(mut self, packets: usize) -> Self {
        self.max_packets = packets;
        self
    }

    /// Sets how many bytes of events are stored per namespace, including their bookkeeping (default
    /// 16 MiB). A client that missed older events gets a new session.
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_bytes(1024 * 1024);
    /// ```
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many sessions are stored per namespace (default 10 000). Beyond it, the session
    /// that was lost first is dropped.
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_sessions(500);
    /// ```
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets whether the sessions of connected clients are stored too (default `false`), so that
    /// they survive a killed node. Without this option, a node stores a session when the connection
    /// is lost, which a killed node cannot do. Takes effect only if the adapter's engine keeps
    /// sessions. Nodes with and without this option recover each other's sessions.
    ///
    /// The node writes a session when its client connects, when its rooms or its
    /// [shared](crate::Socket::set_shared) value change, and again after each half of
    /// `max_disconnection_duration`. It removes the session when the client disconnects
    /// deliberately. Each write and each removal costs one command of the engine. The changes of 50
    /// ms are written together, at most 10 000 sessions per second and namespace. A node that is
    /// killed loses the changes that it has not written.
    ///
    /// ```
    /// use socketio_server::{Recovery, ServerConfig};
    ///
    /// let recovery = Recovery::default().crash_safe(true);
    /// let config = ServerConfig::default().connection_state_recovery(recovery);
    /// # let _ = config;
    /// ```
    pub fn crash_safe(mut self, crash_safe: bool) -> Self {
        self.crash_safe = crash_safe;
        self
    }

    /// Sets how many claims of unknown sessions one client address may make per namespace within 10
    /// s (default 256). Until then, this node asks the other nodes for each claimed session that is
    /// not stored, which costs every other node one message. An IPv6 network of 64 bits counts as
    /// one address, and all clients whose address is unknown count as one.
    ///
    /// Beyond the limit, clients of that address still recover sessions that are stored. A client
    /// whose previous connection another node still considers open gets a new session.
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_failed_claims(32);
    /// ```
    pub fn max_failed_claims(mut self, claims: u32) -> Self {
        self.max_failed_claims = claims;
        self
    }

    /// Sets how many events of [`Socket::emit_reliably`](crate::Socket::emit_reliably) may be
    /// pending per socket (default 256). Further events are refused with
    /// [`DeliveryError::TooMany`](crate::DeliveryError::TooMany).
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_reliable_packets(64);
    /// ```
    pub fn max_reliable_packets(mut self, packets: usize) -> Self {
        self.max_reliable.packets = packets;
        self
    }

    /// Sets how many bytes of events of [`Socket::emit_reliably`](crate::Socket::emit_reliably) may
    /// be pending per socket (default 1 MiB). Further events are refused with
    /// [`DeliveryError::TooMany`](crate::DeliveryError::TooMany).
    ///
    /// ```
    /// use socketio_server::Recovery;
    ///
    /// let recovery = Recovery::default().max_reliable_bytes(64 * 1024);
    /// ```
    pub fn max_reliable_bytes(mut self, bytes: usize) -> Self {
        self.max_reliable.bytes = bytes;
        self
    }
}
