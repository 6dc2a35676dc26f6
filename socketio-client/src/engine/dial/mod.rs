//! Opens the stream for HTTP or WebSocket to a server: connector, proxy and TLS.

mod address;
mod connector;
mod environment;
mod proxy;
mod race;
mod tls;

use std::{
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use self::proxy::tunnel;
pub(super) use self::{
    address::Address,
    environment::proxy_for,
    race::{Attempt, race},
};
pub use self::{
    connector::{BoxStream, ByteStream, Connecting, Connector, TcpConnector},
    proxy::Proxy,
    tls::Tls,
};
use super::{
    config::Shared,
    error::{EngineError, RequestError},
};

/// The protocol spoken on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Http,
    WebSocket,
}

impl Shared {
    /// Returns whether requests go to the proxy itself, with the full URL.
    pub(super) fn forwards(&self, purpose: Purpose) -> bool {
        purpose == Purpose::Http && self.proxy.is_some() && !self.address.secure
    }

    pub(super) async fn dial(&self, purpose: Purpose) -> Result<BoxStream, RequestError> {
        let Some(proxy) = &self.proxy else {
            let stream = self.connect(&self.address).await?;
            return self.secure(&self.address, stream).await;
        };
        let stream = self.connect(&proxy.address).await?;
        let mut stream = self.secure(&proxy.address, stream).await?;
        if self.forwards(purpose) {
            return Ok(stream);
        }
        tunnel(&mut stream, proxy, &self.address).await?;
        self.secure(&self.address, stream).await
    }

    async fn connect(&self, to: &Address) -> Result<BoxStream, RequestError> {
        let (host, port) = (to.host.as_str(), to.port);
        let connector = &*self.options.connector;
        let result = match caught(|| connector.connect(host, port)) {
            Ok(mut connecting) => {
                poll_fn(|cx| match caught(|| connecting.as_mut().poll(cx)) {
                    Ok(poll) => poll,
                    Err(panic) => Poll::Ready(Err(panic)),
                })
                .await
            }
            Err(panic) => Err(panic),
        };
        result.map_err(|source| RequestError::Connect { host: host.to_owned(), port, source })
    }

    async fn secure(&self, with: &Address, stream: BoxStream) -> Result<BoxStream, RequestError> {
        match &self.tls {
            _ if !with.secure => Ok(stream),
            Some(tls) => tls.handshake(&with.host, stream).await,
            None => Err(RequestError::Protocol(Box::new(EngineError::TlsUnavailable))),
        }
    }
}

/// Converts a panic of the user's connector to an error.
fn caught<T>(run: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| io::Error::other("the connector panicked"))
}
