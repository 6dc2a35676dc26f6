//! HTTPS, with rustls.

use std::{convert::Infallible, io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, ToSocketAddrs},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower_service::Service;

use super::{
    Listening, accept,
    connection::{Http, Peer, until_stopped},
};
use crate::{config::EngineConfig, engine::Engine};

impl Engine {
    /// Listens on `address` with TLS: `https://` and `wss://` over HTTP/1.1, and over HTTP/2 with
    /// the feature `http2`.
    ///
    /// `tls` contains the certificates, protocol versions and cryptography; see
    /// [`rustls`](crate::rustls). If it lists no application protocols (ALPN), the listener offers
    /// those that it supports. A handshake that takes longer than
    /// [`head_timeout`](EngineConfig::head_timeout) is aborted.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use engineio_server::{Engine, EngineConfig, rustls};
    /// use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("key.pem")?;
    /// let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    /// # let engine = Engine::new(EngineConfig::default(), |_| async {});
    /// engine.listen_tls("0.0.0.0:443", Arc::new(tls)).await?.join().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be resolved or bound.
    pub async fn listen_tls(
        &self,
        address: impl ToSocketAddrs,
        tls: Arc<ServerConfig>,
    ) -> io::Result<Listening> {
        Ok(serve_tls(TcpListener::bind(address).await?, tls, self.service(), self.config()))
    }
}

/// Like [`serve`](super::serve), with TLS. See [`Engine::listen_tls`].
pub fn serve_tls<S, B>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    service: S,
    config: &EngineConfig,
) -> Listening
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let http = Arc::new(Http::new(config));
    let head_timeout = config.head_timeout;
    let acceptor = TlsAcceptor::from(with_protocols(tls));
    let dropped = http.dropped.clone();
    accept(listener, config, dropped, move |stream, address, mut stopped| {
        let (http, service) = (http.clone(), service.clone());
        let handshake = timeout(head_timeout, acceptor.accept(stream));
        async move {
            let accepted = tokio::select! {
                accepted = handshake => accepted.unwrap_or_else(|late| Err(late.into())),
                () = until_stopped(&mut stopped) => return,
            };
            match accepted {
                Ok(stream) => {
                    let peer = Peer { address, secure: true };
                    http.serve(stream, peer, service, stopped).await;
                }
                Err(error) => {
                    tracing::debug!(target: "engineio::listen", %error, "a TLS handshake failed");
                    http.dropped.failed_early(&error, true);
                }
            }
        }
    })
}

/// Adds the supported application protocols, unless the user has listed some.
fn with_protocols(tls: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if !tls.alpn_protocols.is_empty() {
        return tls;
    }
    let mut tls = Arc::unwrap_or_clone(tls);
    #[cfg(feature = "http2")]
    tls.alpn_protocols.push(b"h2".to_vec());
    tls.alpn_protocols.push(b"http/1.1".to_vec());
    Arc::new(tls)
}
