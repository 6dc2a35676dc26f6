//! From a server's address to a stream that HTTP or WebSocket is spoken on.

use super::{
    address::Address,
    config::Shared,
    connector::BoxStream,
    error::{EngineError, RequestError},
    proxy::tunnel,
};

/// What is spoken on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Http,
    WebSocket,
}

impl Shared {
    /// Whether requests go to the proxy itself, with the whole URL.
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
        self.options.connector.connect(host, port).await.map_err(|source| RequestError::Connect {
            host: host.to_owned(),
            port,
            source,
        })
    }

    async fn secure(&self, with: &Address, stream: BoxStream) -> Result<BoxStream, RequestError> {
        match &self.tls {
            _ if !with.secure => Ok(stream),
            Some(tls) => tls.handshake(&with.host, stream).await,
            None => Err(RequestError::Protocol(Box::new(EngineError::TlsUnavailable))),
        }
    }
}
