//! An in-memory client for tests of handlers (feature `testing`).
//!
//! [`TestClient`] connects to a real [`Server`] without a network socket or a port. It passes
//! long-polling requests to the engine as values. The code above that is the production code:
//! middlewares, extractors, rooms, acks, limits. A test takes milliseconds. If tokio's clock is
//! paused (its feature `test-util`), timeouts and heartbeats take no time.
//!
//! ```
//! use socketio_server::{Data, Server, Socket, testing::TestClient};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Server::new();
//! io.on("say", |socket: Socket, Data(text): Data<String>| async move {
//!     socket.broadcast().emit("said", &text)?;
//!     Ok(text.len())
//! });
//!
//! let ann = TestClient::connect(&io, "/", &()).await?;
//! let mut bob = TestClient::connect(&io, "/", &()).await?;
//! let length: usize = ann.emit_with_ack("say", &"hello").await?;
//! assert_eq!(length, 5);
//! assert_eq!(bob.expect::<String>("said").await?, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! Volatile events need a transport that can send at once, which here is a pending poll. The client
//! polls again as soon as the runtime runs its task.

mod error;
mod link;
mod received;
mod wire;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{EncodeError, Nsp};

use self::link::{Incoming, Link, PreviousSession, SharedConnection};
pub use self::{error::TestError, received::ReceivedEvent};
use crate::server::Server;

/// An in-memory client in one namespace of a server. Needs a tokio runtime.
///
/// Dropping it and all clients that have [joined](Self::join) over the same connection breaks the
/// connection. The sockets disconnect with "transport error".
#[derive(Debug)]
pub struct TestClient {
    io: Server,
    nsp: Nsp,
    auth: serde_json::Value,
    request: http::Request<()>,
    timeout: Duration,
    link: Link,
}

impl TestClient {
    /// Connects with `auth` as credentials, which must be an object. Use `&()` for none.
    ///
    /// # Errors
    ///
    /// Returns an error if `auth` is not an object, or if the server refuses or does not respond in
    /// time.
    pub async fn connect(io: &Server, nsp: &str, auth: &impl Serialize) -> Result<Self, TestError> {
        Self::connect_with(io, nsp, auth, http::Request::default()).await
    }

    /// Connects with a request that supplies the headers, the extensions and additional query
    /// parameters of the handshake.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not respond in time.
    pub async fn connect_with(
        io: &Server,
        nsp: &str,
        auth: &impl Serialize,
        request: http::Request<()>,
    ) -> Result<Self, TestError> {
        let auth = serde_json::to_value(auth).map_err(EncodeError::from)?;
        let (nsp, timeout) = (Nsp::unchecked(nsp), Duration::from_secs(5));
        let link = within(timeout, async {
            let connection = SharedConnection::open(io, request.clone()).await?;
            Link::join(Arc::new(connection), &nsp, &auth, PreviousSession::default()).await
        });
        let link = link.await?;
        Ok(Self { io: io.clone(), nsp, auth, request, timeout, link })
    }

    /// Joins another namespace over the same connection.
    ///
    /// ```
    /// use socketio_server::{Server, testing::TestClient};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = Server::new();
    /// let news = io.of("/news");
    /// let client = TestClient::connect(&io, "/", &()).await?;
    /// let mut reader = client.join("/news", &()).await?;
    /// news.emit("headline", &"it works")?;
    /// assert_eq!(reader.expect::<String>("headline").await?, "it works");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, does not respond in time, or if the connection has
    /// already joined this namespace.
    pub async fn join(&self, nsp: &str, auth: &impl Serialize) -> Result<Self, TestError> {
        let auth = serde_json::to_value(auth).map_err(EncodeError::from)?;
        let (nsp, timeout) = (Nsp::unchecked(nsp), self.timeout);
        let connection = self.link.connection().clone();
        let link = within(timeout, Link::join(connection, &nsp, &auth, PreviousSession::default()))
            .await?;
        Ok(Self { io: self.io.clone(), nsp, auth, request: self.request.clone(), timeout, link })
    }

    /// Sets how long an operation may take before it fails with [`TestError::Timeout`] (default 5
    /// s). With a paused clock, waiting takes no time.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Returns the id of this client's socket.
    pub fn id(&self) -> &str {
        self.link.id()
    }

    /// Emits an event. A tuple is a list of arguments. Returns when the server has accepted the
    /// event, before its handler runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments cannot be encoded or the connection is closed.
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), TestError> {
        within(self.timeout, self.link.emit(None, event, args)).await
    }

    /// Emits several events in one request, so that the server reads them together.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments cannot be encoded or the connection is closed.
    pub async fn emit_all<T: Serialize>(
        &self,
        events: impl IntoIterator<Item = (&str, T)>,
    ) -> Result<(), TestError> {
        within(self.timeout, self.link.emit_all(events)).await
    }

    /// Emits an event and waits for its ack.
    ///
    /// # Errors
    ///
    /// Returns an error if the ack is late or has another type, if the handler fails, or if the
    /// connection ends.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, TestError> {
        let answer = within(self.timeout, self.link.emit_with_ack(event, args)).await?;
        Ok(answer.decode_ack()?)
    }

    /// Returns the next event, whatever its name.
    ///
    /// # Errors
    ///
    /// Returns an error if no event arrives in time or the client is disconnected.
    pub async fn next(&mut self) -> Result<ReceivedEvent, TestError> {
        within(self.timeout, async {
            match self.link.incoming().await? {
                Incoming::Event { id, args } => Ok(self.link.received(id, args)),
                Incoming::Disconnected => Err(TestError::Disconnected),
                _ => Err(TestError::Closed),
            }
        })
        .await
    }

    /// Returns the arguments of the next event, which must have this name.
    ///
    /// # Errors
    ///
    /// Returns an error if another event arrives, if none arrives in time, or if its arguments have
    /// another type.
    pub async fn expect<T: DeserializeOwned>(&mut self, event: &str) -> Result<T, TestError> {
        let received = self.next().await?;
        if received.event() != event {
            let expected = format!("`{event}`");
            return Err(TestError::Unexpected { expected, event: received.event().to_owned() });
        }
        received.decode()
    }

    /// Checks that no event arrives for `time`. With a paused clock, it returns when the server has
    /// nothing more to do.
    ///
    /// # Errors
    ///
    /// Returns an error if an event arrives or the client is disconnected.
    pub async fn expect_silence(&mut self, time: Duration) -> Result<(), TestError> {
        match tokio::time::timeout(time, self.next()).await {
            Err(_) | Ok(Err(TestError::Timeout(_))) => Ok(()),
            Ok(Ok(received)) => Err(TestError::Unexpected {
                expected: "silence".to_owned(),
                event: received.event().to_owned(),
            }),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Waits until the server disconnects this client or closes its connection. Ignores events
    /// before that.
    ///
    /// # Errors
    ///
    /// Returns an error if this does not happen in time.
    pub async fn disconnected(&mut self) -> Result<(), TestError> {
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(TestError::Disconnected | TestError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Leaves the namespace ("client namespace disconnect"). The connection stays open, but only
    /// [`reconnect`](Self::reconnect) is useful afterwards.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is closed.
    pub async fn disconnect(&mut self) -> Result<(), TestError> {
        within(self.timeout, self.link.disconnect()).await
    }

    /// Closes the connection properly ("transport close").
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is already closed.
    pub async fn close(&mut self) -> Result<(), TestError> {
        within(self.timeout, self.link.connection().close()).await
    }

    /// Breaks the connection like a network failure ("transport error"), for all clients that have
    /// [joined](Self::join) over it.
    pub fn drop_connection(&mut self) {
        self.link.connection().drop_connection();
    }

    /// Reconnects over a new connection with the same credentials and handshake. Breaks the old
    /// connection first, and waits until the server has noticed.
    ///
    /// Like the JavaScript client, it asks for its previous session if the server keeps sessions
    /// ([`connection_state_recovery`]) and if it received an event of that session. If the session
    /// [is recovered](Self::recovered), events that were not read yet are kept, and the missed
    /// events follow. Otherwise they are dropped.
    ///
    /// [`connection_state_recovery`]: crate::ServerConfig::connection_state_recovery
    ///
    /// ```
    /// use socketio_server::{Recovery, Server, ServerConfig, testing::TestClient};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = Server::with_config(
    ///     ServerConfig::default().connection_state_recovery(Recovery::default()),
    /// );
    /// let mut client = TestClient::connect(&io, "/", &()).await?;
    /// io.emit("n", &1)?;
    /// assert_eq!(client.expect::<u32>("n").await?, 1);
    /// client.drop_connection();
    /// io.emit("n", &2)?;
    /// client.reconnect().await?;
    /// assert!(client.recovered());
    /// assert_eq!(client.expect::<u32>("n").await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not respond in time.
    pub async fn reconnect(&mut self) -> Result<(), TestError> {
        let (io, nsp, auth) = (&self.io, &self.nsp, &self.auth);
        let link = &mut self.link;
        let request = self.request.clone();
        self.link = within(self.timeout, async {
            link.connection().drop_connection();
            link.connection().connection_dropped().await;
            while io.has_socket(nsp, link.id()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let connection = SharedConnection::open(io, request).await?;
            Link::join(Arc::new(connection), nsp, auth, link.previous_session()).await
        })
        .await?;
        Ok(())
    }

    /// Returns whether the previous session was recovered: the socket has the same id, rooms and
    /// data.
    pub fn recovered(&self) -> bool {
        self.link.recovered()
    }
}

async fn within<T>(
    timeout: Duration,
    future: impl Future<Output = Result<T, TestError>>,
) -> Result<T, TestError> {
    match tokio::time::timeout(timeout, future).await {
        Ok(result) => result,
        Err(_) => Err(TestError::Timeout(timeout)),
    }
}
