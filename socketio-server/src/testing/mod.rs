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

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use socketio_parser::{EncodeError, Nsp};

use self::link::{Incoming, Link};
pub use self::{error::TestError, received::Received};
use crate::server::Server;

/// A client in one namespace of a server, in memory. Needs a tokio runtime.
///
/// Dropping it breaks the connection off: the socket sees "transport error".
#[derive(Debug)]
pub struct TestClient {
    io: Server,
    nsp: Nsp,
    auth: serde_json::Value,
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
        let link = Link::open(io, request);
        let mut link = within(patience, link).await?;
        within(patience, link.connect(&nsp, &auth)).await?;
        Ok(Self { io: io.clone(), nsp, auth, patience, link })
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
        within(self.patience, self.link.emit(&self.nsp, None, event, args)).await
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
        within(self.patience, self.link.emit_all(&self.nsp, events)).await
    }

    /// Sends an event and waits for the answer.
    ///
    /// # Errors
    ///
    /// No answer comes in time, or one of another type, or the connection ends.
    pub async fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, TestError> {
        let answer = within(self.patience, self.link.emit_with_ack(&self.nsp, event, args)).await?;
        Ok(answer.decode()?)
    }

    /// The next event, whatever its name.
    ///
    /// # Errors
    ///
    /// None comes in time, or the client is disconnected.
    pub async fn next(&mut self) -> Result<Received, TestError> {
        within(self.patience, async {
            match self.link.incoming().await? {
                Incoming::Event { id, args } => Ok(self.link.received(&self.nsp, id, args)),
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
        within(self.patience, self.link.disconnect(&self.nsp)).await
    }

    /// Closes the connection properly ("transport close").
    ///
    /// # Errors
    ///
    /// It is closed already.
    pub async fn close(&mut self) -> Result<(), TestError> {
        within(self.patience, self.link.close()).await
    }

    /// Breaks the connection off ("transport error"), as a network does that fails.
    pub fn lose(&mut self) {
        self.link.lose();
    }

    /// Connects again over a new connection, with the same credentials. What is left of the old one is broken off; events
    /// that were not read are gone.
    ///
    /// # Errors
    ///
    /// The server refuses, or does not answer in time.
    pub async fn reconnect(&mut self) -> Result<(), TestError> {
        self.lose();
        let link = Link::open(&self.io, http::Request::default());
        self.link = within(self.patience, link).await?;
        within(self.patience, self.link.connect(&self.nsp, &self.auth)).await
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
