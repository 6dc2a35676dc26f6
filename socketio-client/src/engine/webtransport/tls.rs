//! TLS and the limits of a QUIC connection.

use std::{sync::Arc, time::Duration};

use quinn::{ClientConfig, TransportConfig, crypto::rustls::QuicClientConfig};
use tokio_rustls::rustls::{
    self, CertificateError, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider,
        ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider},
        verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::engine::{dial::Tls, error::EngineError};

/// The configuration of QUIC connections to the server.
pub(in crate::engine) type Quic = ClientConfig;

/// How many bytes of the stream may wait for acknowledgment. More wait in the queue of the session.
const SEND_WINDOW: u64 = 1 << 20;

/// How many bytes of the server's may wait for this client to read them, on the stream and on the
/// connection.
const RECEIVE_WINDOW: u32 = 1 << 20;

/// HTTP/3 needs three streams that the server opens: control, and two for header compression.
/// Others have reserved types, which are ignored.
const STREAMS: u32 = 8;

/// The protocol uses no datagrams, but HTTP/3 announces them.
const DATAGRAMS: usize = 4 * 1024;

/// How long a connection may be silent before it sends a packet. Shorter than the usual time after
/// which firewalls and servers forget it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Combines TLS and limits. With hashes, `tls` is not used.
pub(in crate::engine) fn quic(tls: Option<&Tls>, hashes: &[[u8; 32]]) -> Result<Quic, EngineError> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| EngineError::Tls(error);
    let mut crypto = if hashes.is_empty() {
        let tls = tls.ok_or(EngineError::TlsUnavailable)?;
        tls.rustls_config()
            .ok_or_else(|| unusable("WebTransport needs rustls or certificate hashes".into()))?
    } else {
        let provider = Arc::new(default_provider());
        let verifier = Hashes { hashes: hashes.to_vec(), provider: provider.clone() };
        rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unusable(error.into()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    };
    crypto.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = Arc::new(crypto);
    // Quinn requires that rustls accepts the configuration, which it does not without TLS 1.3.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    rustls::quic::ClientConnection::new(crypto.clone(), rustls::quic::Version::V1, name, vec![])
        .map_err(|error| unusable(error.into()))?;
    let crypto = QuicClientConfig::try_from(crypto).map_err(|error| unusable(error.into()))?;
    let mut limits = TransportConfig::default();
    limits
        // The heartbeat of the session ends a silent connection.
        .max_idle_timeout(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .send_window(SEND_WINDOW)
        .stream_receive_window(RECEIVE_WINDOW.into())
        .receive_window((RECEIVE_WINDOW + (64 << 10)).into())
        .max_concurrent_bidi_streams(0_u32.into())
        .max_concurrent_uni_streams(STREAMS.into())
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .datagram_send_buffer_size(DATAGRAMS);
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(limits));
    Ok(config)
}

/// Accepts the certificates with these SHA-256 hashes.
#[derive(Debug)]
struct Hashes {
    hashes: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Hashes {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let suite = TLS13_AES_128_GCM_SHA256.tls13();
        let hash = suite.map(|suite| suite.common.hash_provider.hash(certificate));
        match hash {
            Some(hash) if self.hashes.iter().any(|known| known == hash.as_ref()) => {
                Ok(ServerCertVerified::assertion())
            }
            _ => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
