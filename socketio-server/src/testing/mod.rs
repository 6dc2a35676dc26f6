//! A client in memory, for tests of handlers (feature `testing`).
//!
//! [`TestClient`] joins a real [`Server`] without a socket or a port: what it sends and reads are the requests
//! and responses of long-polling, handed to the engine as values. Everything above is what runs in earnest: middlewares,
//! extractors, rooms, acknowledgements, limits. A test takes milliseconds, and where tokio's clock is paused (its feature
//! `test-util`), timeouts and heartbeats take none.
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
//! What is volatile needs a transport that can take it at once: here, a poll that waits. A client polls again as soon as the
//! runtime lets it.

mod error;
mod link;
mod received;
mod wire;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{EncodeError, Nsp};

use self::link::{Incoming, Line, Link, Past};
pub use self::{error::TestError, received::Received};
use crate::server::Server;

/// A client in one namespace of a server, in memory. Needs a tokio runtime.
///
/// Dropping it, and all that [joined](Self::join) over the same connection, breaks the connection off: the sockets see
/// "transport error".
#[derive(Debug)]
pub struct TestClient {
    io: Server,
    nsp: Nsp,
    auth: serde_json::Value,
    request: http::Request<()>,
    patience: Duration,
    link: Link,
}

impl TestClient {
    /// Connects, with `auth` as the credentials; `&()` for none.
    ///
    /// # Errors
    ///
    /// The server refuses, or does not answer in time.
    pub async fn connect(io: &Server, nsp: &str, auth: &impl Serialize) -> Result<Self, TestError> {
        Self::connect_with(io, nsp, auth, http::Request::default()).await
    }

    /// Connects with a request whose headers and extensions are those of the handshake; its query is added to the
    /// protocol's own.
    ///
    /// # Errors
    ///
    /// The server refuses, or does not answer in time.
    pub async fn connect_with(
        io: &Server,
        nsp: &str,
        auth: &impl Serialize,
        request: http::Request<()>,
    ) -> Result<Self, TestError> {
        let auth = serde_json::to_value(auth).map_err(EncodeError::from)?;
        let (nsp, patience) = (Nsp::new(nsp), Duration::from_secs(5));
        let link = within(patience, async {
            let line = Line::open(io, request.clone()).await?;
            Link::join(Arc::new(line), &nsp, &auth, Past::default()).await
        });
        let link = link.await?;
        Ok(Self { io: io.clone(), nsp, auth, request, patience, link })
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
    /// The server refuses, or does not answer in time; or the connection is in that namespace already.
    pub async fn join(&self, nsp: &str, auth: &impl Serialize) -> Result<Self, TestError> {
        let auth = serde_json::to_value(auth).map_err(EncodeError::from)?;
        let (nsp, patience) = (Nsp::new(nsp), self.patience);
        let line = self.link.line().clone();
        let link = within(patience, Link::join(line, &nsp, &auth, Past::default())).await?;
        Ok(Self { io: self.io.clone(), nsp, auth, request: self.request.clone(), patience, link })
    }

    /// How long anything may take before it is [`TestError::Timeout`] (default 5 s). Costs no time where the clock is
    /// paused.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The id that the server gave this client's socket.
    pub fn id(&self) -> &str {
        self.link.id()
    }

    /// Sends an event; a tuple is a list of arguments. Returns once the server has taken it in, which is before it is
    /// handled.
    ///
    /// # Errors
    ///
    /// The arguments cannot be encoded, or the connection is closed.
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), TestError> {
        within(self.patience, self.link.emit(None, event, args)).await
    }

    /// Sends several events at once, so that the server reads them together.
    ///
    /// # Errors
    ///
    /// The arguments cannot be encoded, or the connection is closed.
    pub async fn emit_all<T: Serialize>(
        &self,
        events: impl IntoIterator<Item = (&str, T)>,
    ) -> Result<(), TestError> {
        within(self.patience, self.link.emit_all(events)).await
    }

    /// Sends an event and waits for the answer.
    ///
    /// # Errors
    ///
    /// No answer comes in time, or one of another type, or the handler fails, or the connection ends.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, TestError> {
        let answer = within(self.patience, self.link.emit_with_ack(event, args)).await?;
        Ok(answer.decode_answer()?)
    }

    /// The next event, whatever its name.
    ///
    /// # Errors
    ///
    /// None comes in time, or the client is disconnected.
    pub async fn next(&mut self) -> Result<Received, TestError> {
        within(self.patience, async {
            match self.link.incoming().await? {
                Incoming::Event { id, args } => Ok(self.link.received(id, args)),
                Incoming::Disconnected => Err(TestError::Disconnected),
                _ => Err(TestError::Closed),
            }
        })
        .await
    }

    /// The arguments of the next event, which must be of this name.
    ///
    /// # Errors
    ///
    /// Another one comes, or none in time, or its arguments are of another type.
    pub async fn expect<T: DeserializeOwned>(&mut self, event: &str) -> Result<T, TestError> {
        let received = self.next().await?;
        if received.event() != event {
            let expected = format!("`{event}`");
            return Err(TestError::Unexpected { expected, event: received.event().to_owned() });
        }
        received.decode()
    }

    /// Waits for `time`, in which no event may come. Where the clock is paused, that is until the server has nothing more
    /// to do.
    ///
    /// # Errors
    ///
    /// An event comes, or the client is disconnected.
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

    /// Waits until the server has disconnected this client or closed its connection; events that come before are
    /// passed over.
    ///
    /// # Errors
    ///
    /// It does not in time.
    pub async fn disconnected(&mut self) -> Result<(), TestError> {
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(TestError::Disconnected | TestError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Leaves the namespace ("client namespace disconnect"). The connection stays, to no use but
    /// [`reconnect`](Self::reconnect).
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub async fn disconnect(&mut self) -> Result<(), TestError> {
        within(self.patience, self.link.disconnect()).await
    }

    /// Closes the connection properly ("transport close").
    ///
    /// # Errors
    ///
    /// It is closed already.
    pub async fn close(&mut self) -> Result<(), TestError> {
        within(self.patience, self.link.line().close()).await
    }

    /// Breaks the connection off ("transport error"), as a network does that fails. It is that of all clients that
    /// [joined](Self::join) over it.
    pub fn drop_connection(&mut self) {
        self.link.line().lose();
    }

    /// Connects again over a new connection, with the same credentials and handshake. What is left of the old one is broken
    /// off, and the server has noticed that before this goes on.
    ///
    /// As the JavaScript client does, it asks for its former session where the server keeps sessions
    /// ([`connection_state_recovery`]) and it has got an event of it. If it [is given it](Self::recovered), events that came
    /// before and were not read are still there, and what was missed comes after them; otherwise they are gone.
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
    /// The server refuses, or does not answer in time.
    pub async fn reconnect(&mut self) -> Result<(), TestError> {
        let (io, nsp, auth) = (&self.io, &self.nsp, &self.auth);
        let link = &mut self.link;
        let request = self.request.clone();
        self.link = within(self.patience, async {
            link.line().lose();
            link.line().lost().await;
            while io.has_socket(nsp, link.id()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let line = Line::open(io, request).await?;
            Link::join(Arc::new(line), nsp, auth, link.past()).await
        })
        .await?;
        Ok(())
    }

    /// Whether this is the former session, by connection state recovery: the socket has the same id, rooms and data.
    pub fn recovered(&self) -> bool {
        self.link.recovered()
    }
}

async fn within<T>(
    patience: Duration,
    future: impl Future<Output = Result<T, TestError>>,
) -> Result<T, TestError> {
    match tokio::time::timeout(patience, future).await {
        Ok(result) => result,
        Err(_) => Err(TestError::Timeout(patience)),
    }
}
