//! The options of a connection and of a socket.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use socketio_core::{PublicError, PublicErrors};
use socketio_parser::{Limits, Parser};

use crate::{engine::EngineOptions, error::HandlerError, reconnection::Reconnection};

/// The shortest timeout, as with Node's timers. Nothing succeeds within no time.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

/// The options of a [`Manager`](crate::Manager), which is one connection. The defaults are those of
/// Node's client, unless the option says otherwise.
///
/// ```
/// use std::time::Duration;
/// use socketio_client::{ClientConfig, Reconnection};
///
/// let config = ClientConfig::default()
///     .reconnection(Reconnection::default().attempts(20))
///     .connect_timeout(Duration::from_secs(5))
///     .socket(|socket| socket.auth(&serde_json::json!({ "token": "abc" })));
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct ClientConfig {
    /// Shared by the connections that use clones of this value.
    pub(crate) engine: Arc<EngineOptions>,
    pub(crate) socket: SocketConfig,
    pub(crate) reconnection: Reconnection,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) auto_connect: bool,
    pub(crate) multiplex: bool,
    pub(crate) parser: Parser,
    pub(crate) limits: Limits,
    pub(crate) max_handlers: usize,
    pub(crate) max_inbox_bytes: usize,
    pub(crate) public_errors: PublicErrors,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            socket: SocketConfig::default(),
            reconnection: Reconnection::default(),
            connect_timeout: Some(Duration::from_secs(20)),
            close_timeout: Duration::from_secs(3),
            auto_connect: true,
            multiplex: true,
            parser: Parser::default(),
            limits: Limits::default(),
            max_handlers: 256,
            max_inbox_bytes: 1_000_000,
            public_errors: PublicErrors::default(),
        }
    }
}

impl ClientConfig {
    /// Changes the options of the transports, such as their choice, path, headers, query and TLS.
    ///
    /// ```
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().engine(|engine| engine.path("/live/"));
    /// ```
    pub fn engine(mut self, change: impl FnOnce(EngineOptions) -> EngineOptions) -> Self {
        self.engine = Arc::new(change(Arc::unwrap_or_clone(self.engine)));
        self
    }

    /// Changes the default options of sockets. They apply to each socket without options of its
    /// own.
    ///
    /// ```
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().socket(|socket| socket.retries(3));
    /// ```
    pub fn socket(mut self, change: impl FnOnce(SocketConfig) -> SocketConfig) -> Self {
        self.socket = change(self.socket);
        self
    }

    /// Sets whether, how often and after which delays the client reconnects.
    ///
    /// ```
    /// use socketio_client::{ClientConfig, Reconnection};
    ///
    /// let config = ClientConfig::default().reconnection(Reconnection::off());
    /// ```
    pub fn reconnection(mut self, reconnection: Reconnection) -> Self {
        self.reconnection = reconnection;
        self
    }

    /// Sets the time limit of each of three steps: opening the connection, calling the function
    /// that provides `auth`, and waiting for the response to CONNECT (default 20 s; Node limits
    /// only the first step). `None` means no limit, and zero counts as a millisecond.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().connect_timeout(Duration::from_secs(5));
    /// ```
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into().map(|timeout| timeout.max(SHORTEST));
        self
    }

    /// Sets how long the client may take to send pending events after
    /// [`disconnect`](crate::Socket::disconnect), after [`close`](crate::Manager::close) or after
    /// the drop of the last handle (default 3 s). Events still unsent after that time are lost.
    ///
    /// The client sends DISCONNECT only after the server has read the preceding events. On a
    /// WebSocket the client learns this from the pong to a ping, over polling from the response to
    /// the POST. It waits for this for at most half of the timeout.
    ///
    /// The client opens the next connection after the previous one has ended, or after this
    /// timeout, so that the server receives a socket's events in order. This costs a round trip. A
    /// server that no longer responds delays the next connection by 2 s after the last bytes were
    /// sent, within the timeout.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().close_timeout(Duration::from_secs(1));
    /// ```
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Sets whether sockets connect as soon as they are created (default `true`). If not, they
    /// connect on [`Socket::connect`](crate::Socket::connect). Handlers that are added before that
    /// call miss no event.
    ///
    /// ```
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().auto_connect(false);
    /// ```
    pub fn auto_connect(mut self, auto_connect: bool) -> Self {
        self.auto_connect = auto_connect;
        self
    }

    /// Sets whether a [`Client`](crate::Client) uses one connection for several namespaces of a
    /// server (default `true`; `multiplex` in Node, and the opposite of `forceNew`).
    ///
    /// ```
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().multiplex(false);
    /// ```
    pub fn multiplex(mut self, multiplex: bool) -> Self {
        self.multiplex = multiplex;
        self
    }

    /// Sets the encoding of packets (default JSON), which must be that of the server.
    /// `Parser::MsgPack` (feature `msgpack`) is the encoding of Node's `socket.io-msgpack-parser`.
    ///
    /// ```
    /// # #[cfg(feature = "msgpack")]
    /// # fn config() {
    /// use socketio_client::{ClientConfig, Parser};
    ///
    /// let config = ClientConfig::default().parser(Parser::MsgPack);
    /// # }
    /// ```
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Sets the limits of packets from the server. The size of a message is limited by
    /// [`EngineOptions::max_payload`](crate::EngineOptions::max_payload). That limit also applies
    /// to the attachments of a packet and replaces [`Limits::max_attachment_bytes`].
    ///
    /// ```
    /// use socketio_client::{ClientConfig, Limits};
    ///
    /// let config = ClientConfig::default().limits(Limits::default().max_attachments(4));
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Registers an error type of the application whose [`PublicError`] defines what the server may
    /// read. Handlers return such an error with `?`. For errors of other types the server receives
    /// "internal error".
    ///
    /// ```
    /// use socketio_client::{ClientConfig, PublicError};
    ///
    /// #[derive(Debug)]
    /// struct SoldOut;
    /// impl std::fmt::Display for SoldOut {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         f.write_str("sold out")
    ///     }
    /// }
    /// impl std::error::Error for SoldOut {}
    /// impl PublicError for SoldOut {
    ///     fn public_message(&self) -> Option<String> {
    ///         Some(self.to_string())
    ///     }
    /// }
    ///
    /// let config = ClientConfig::default().public_error::<SoldOut>();
    /// ```
    pub fn public_error<E: PublicError>(mut self) -> Self {
        self.public_errors.add::<E>();
        self
    }

    /// Sets how many handlers may run at the same time, over all namespaces (default 256). Further
    /// events wait in the inbox.
    ///
    /// ```
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().max_handlers(64);
    /// ```
    pub fn max_handlers(mut self, count: usize) -> Self {
        self.max_handlers = count.max(1);
        self
    }

    /// Sets how many bytes of events may wait for a handler, over all namespaces (default 1 000
    /// 000). Each event counts with its bookkeeping, about 300 bytes. Above the limit the
    /// connection reads at most 64 KiB ahead until half of the events are handled. Within these 64
    /// KiB it still answers pings and notices the end of the connection. Acks may time out
    /// meanwhile. If handlers are slow for longer than the heartbeat allows, the connection is lost
    /// ("ping timeout").
    ///
    /// ```
    /// use socketio_client::ClientConfig;
    ///
    /// let config = ClientConfig::default().max_inbox_bytes(64 * 1024);
    /// ```
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = bytes;
        self
    }
}

/// The options of one [`Socket`](crate::Socket).
#[derive(Clone)]
#[must_use]
#[non_exhaustive]
pub struct SocketConfig {
    pub(crate) auth: Auth,
    pub(crate) retries: Option<u32>,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_queued_packets: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) max_in_flight: usize,
}

pub(crate) type AuthFuture = Pin<Box<dyn Future<Output = Result<Value, HandlerError>> + Send>>;

/// The payload of CONNECT.
#[derive(Clone)]
pub(crate) enum Auth {
    Value(Arc<Value>),
    Function(Arc<dyn Fn() -> AuthFuture + Send + Sync>),
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            auth: Auth::Value(Arc::new(Value::Null)),
            retries: None,
            ack_timeout: Duration::from_secs(30),
            max_queued_packets: 10_000,
            max_queued_bytes: 10_000_000,
            max_in_flight: 32,
        }
    }
}

impl SocketConfig {
    /// Sets the payload of CONNECT (`handshake.auth` on the server). The protocol allows an object,
    /// such as a struct or a map, or nothing (the default). Any other value, and a value that
    /// cannot be serialized, causes [`ConnectError::Auth`](crate::ConnectError::Auth).
    ///
    /// ```
    /// use serde_json::json;
    /// use socketio_client::SocketConfig;
    ///
    /// let config = SocketConfig::default().auth(&json!({ "token": "secret" }));
    /// ```
    pub fn auth<T: Serialize + ?Sized>(mut self, auth: &T) -> Self {
        self.auth = match serde_json::to_value(auth) {
            Ok(value) => Auth::Value(Arc::new(value)),
            Err(error) => {
                let message: Arc<str> = error.to_string().into();
                Auth::Function(Arc::new(move || {
                    let error = HandlerError::public(&*message);
                    Box::pin(async { Err(error) })
                }))
            }
        };
        self
    }

    /// Sets a function that provides [`auth`](Self::auth). The client calls it for every
    /// connection, so that a reconnection never uses an expired token. If the function fails, the
    /// handlers of `connect_error` get [`ConnectError::Auth`](crate::ConnectError::Auth), and the
    /// client calls the function again after the delay of [`Reconnection`].
    ///
    /// ```
    /// use serde_json::json;
    /// use socketio_client::SocketConfig;
    ///
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let config = SocketConfig::default().auth_with(|| async {
    ///     let token = fetch_token().await?;
    ///     Ok(json!({ "token": token }))
    /// });
    /// ```
    pub fn auth_with<F, Fut, T>(mut self, provide: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, HandlerError>> + Send + 'static,
        T: Serialize,
    {
        self.auth = Auth::Function(Arc::new(move || {
            let auth = provide();
            Box::pin(async move { Ok(serde_json::to_value(auth.await?)?) })
        }));
        self
    }

    /// Makes the client send every event that is not volatile again until the server has
    /// acknowledged it, at most `retries + 1` times (default: each event is sent once). The events
    /// are sent one at a time, in order. The server must acknowledge each of them, and may receive
    /// an event twice. A caller that waits for an ack keeps waiting when the connection is lost.
    /// The ack timeout starts with each attempt, so time in which an event cannot be sent does not
    /// count.
    ///
    /// Because the events are sent one at a time, only the first of them is sent before a
    /// disconnection or the drop of the last handle. The others wait for the next connection, as in
    /// Node, and are lost with the last handle.
    ///
    /// ```
    /// use socketio_client::SocketConfig;
    ///
    /// let config = SocketConfig::default().retries(3);
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets how long to wait for an ack (default 30 s, at least 1 ms; Node has no limit). The time
    /// starts with the call of `emit_with_ack`, or with [`retries`](Self::retries) with each
    /// attempt.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketio_client::SocketConfig;
    ///
    /// let config = SocketConfig::default().ack_timeout(Duration::from_secs(5));
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout.max(SHORTEST);
        self
    }

    /// Sets how many packets may wait to be sent while the connection is missing or slow (default
    /// 10 000; Node has no limit). Above the limit, `emit` returns
    /// [`EmitError::Full`](crate::EmitError::Full).
    ///
    /// ```
    /// use socketio_client::SocketConfig;
    ///
    /// let config = SocketConfig::default().max_queued_packets(1000);
    /// ```
    pub fn max_queued_packets(mut self, count: usize) -> Self {
        self.max_queued_packets = count;
        self
    }

    /// Sets how many bytes may wait to be sent (default 10 000 000), see
    /// [`max_queued_packets`](Self::max_queued_packets). An empty queue accepts one packet of any
    /// size.
    ///
    /// ```
    /// use socketio_client::SocketConfig;
    ///
    /// let config = SocketConfig::default().max_queued_bytes(1024 * 1024);
    /// ```
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// Sets how many handlers of this socket may run at the same time (default 32; 1 runs them one
    /// after another). Handlers start in the order of the events.
    ///
    /// ```
    /// use socketio_client::SocketConfig;
    ///
    /// let config = SocketConfig::default().max_in_flight(1);
    /// ```
    pub fn max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = count.max(1);
        self
    }
}

impl fmt::Debug for SocketConfig {
    /// Leaves `auth` out, because it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketConfig")
            .field("retries", &self.retries)
            .field("ack_timeout", &self.ack_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_counts_as_a_millisecond() {
        let config = ClientConfig::default().connect_timeout(Duration::ZERO);
        assert_eq!(config.connect_timeout, Some(SHORTEST));
        assert_eq!(ClientConfig::default().connect_timeout(None).connect_timeout, None);
        assert_eq!(SocketConfig::default().ack_timeout(Duration::ZERO).ack_timeout, SHORTEST);
    }
}
