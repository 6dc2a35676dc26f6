//! The choice and configuration of the TLS library.

#[cfg(feature = "rustls")]
use std::sync::Arc;
use std::{fmt, io};

use super::BoxStream;
use crate::engine::error::{EngineError, RequestError};

/// The TLS library with which the client connects to `https` and `wss` URLs and to `https` proxies.
///
/// TLS is optional. Without a feature and without a value of this type, such URLs are refused with
/// [`EngineError::TlsUnavailable`]. Without a value, the features of the crate select the library:
///
/// | features | TLS library |
/// |---|---|
/// | `rustls-ring` or `rustls-aws-lc`, and `native-roots` or `webpki-roots` | rustls; certificates of the operating system, Mozilla's, or both |
/// | `native-tls`, without the above | the operating system's TLS with its certificates |
/// | other combinations | none |
#[derive(Clone)]
pub struct Tls(Kind);

#[derive(Clone)]
enum Kind {
    Connector,
    #[cfg(feature = "rustls")]
    Rustls(tokio_rustls::TlsConnector),
    #[cfg(feature = "native-tls")]
    Native(tokio_native_tls::TlsConnector),
}

impl Tls {
    /// Leaves TLS to the [`Connector`](crate::Connector). Its streams are used unchanged.
    pub fn by_connector() -> Self {
        Self(Kind::Connector)
    }

    /// Uses rustls with the given configuration: root certificates, client certificates, versions,
    /// cryptography. The client sets the application protocol (ALPN) to HTTP/1.1, which WebSocket
    /// requires.
    ///
    /// ```
    /// # fn with(roots: tokio_rustls::rustls::RootCertStore) {
    /// use socketio_client::{EngineOptions, Tls, rustls};
    ///
    /// let config =
    ///     rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    /// let options = EngineOptions::new().tls(Tls::rustls(config));
    /// # }
    /// ```
    #[cfg(feature = "rustls")]
    pub fn rustls(config: impl Into<Arc<tokio_rustls::rustls::ClientConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Kind::Rustls(Arc::new(config).into()))
    }

    /// Uses the operating system's TLS with the given certificates and settings.
    #[cfg(feature = "native-tls")]
    pub fn native(connector: tokio_native_tls::native_tls::TlsConnector) -> Self {
        Self(Kind::Native(connector.into()))
    }

    /// Returns the configuration of rustls.
    #[cfg(feature = "webtransport")]
    pub(in crate::engine) fn rustls_config(&self) -> Option<tokio_rustls::rustls::ClientConfig> {
        match &self.0 {
            Kind::Rustls(connector) => Some((**connector.config()).clone()),
            _ => None,
        }
    }

    /// Returns the default of the enabled features.
    pub(in crate::engine) fn from_features() -> Result<Self, EngineError> {
        #[cfg(all(
            any(feature = "rustls-ring", feature = "rustls-aws-lc"),
            any(feature = "native-roots", feature = "webpki-roots")
        ))]
        return default_rustls();
        #[cfg(all(
            feature = "native-tls",
            not(all(
                any(feature = "rustls-ring", feature = "rustls-aws-lc"),
                any(feature = "native-roots", feature = "webpki-roots")
            ))
        ))]
        return tokio_native_tls::native_tls::TlsConnector::new()
            .map(Self::native)
            .map_err(|error| EngineError::Tls(error.into()));
        #[cfg(not(any(
            feature = "native-tls",
            all(
                any(feature = "rustls-ring", feature = "rustls-aws-lc"),
                any(feature = "native-roots", feature = "webpki-roots")
            )
        )))]
        Err(EngineError::TlsUnavailable)
    }

    /// Performs the TLS handshake with `host` over the stream.
    pub(in crate::engine) async fn handshake(
        &self,
        host: &str,
        stream: BoxStream,
    ) -> Result<BoxStream, RequestError> {
        let result: io::Result<BoxStream> = match &self.0 {
            Kind::Connector => Ok(stream),
            #[cfg(feature = "rustls")]
            Kind::Rustls(connector) => {
                match tokio_rustls::rustls::pki_types::ServerName::try_from(host.to_owned()) {
                    Ok(name) => match connector.connect(name, stream).await {
                        Ok(stream) => Ok(Box::new(stream)),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
                }
            }
            #[cfg(feature = "native-tls")]
            Kind::Native(connector) => match connector.connect(host, stream).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(io::Error::other(error)),
            },
        };
        result.map_err(|source| RequestError::Tls { host: host.to_owned(), source })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Connector => "Tls::by_connector",
            #[cfg(feature = "rustls")]
            Kind::Rustls(_) => "Tls::rustls",
            #[cfg(feature = "native-tls")]
            Kind::Native(_) => "Tls::native",
        })
    }
}

#[cfg(all(
    any(feature = "rustls-ring", feature = "rustls-aws-lc"),
    any(feature = "native-roots", feature = "webpki-roots")
))]
fn default_rustls() -> Result<Tls, EngineError> {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    #[cfg(feature = "rustls-ring")]
    let provider = crypto::ring::default_provider();
    #[cfg(not(feature = "rustls-ring"))]
    let provider = crypto::aws_lc_rs::default_provider();

    let mut roots = RootCertStore::empty();
    #[cfg(feature = "webpki-roots")]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    #[cfg(feature = "native-roots")]
    {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(target: "engineio::client", %error, "some certificates of the operating system could not be loaded");
        }
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() {
        return Err(EngineError::Tls("the system has no root certificates".into()));
    }

    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| EngineError::Tls(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls::rustls(config))
}
