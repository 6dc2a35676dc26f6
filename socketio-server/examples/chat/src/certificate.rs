//! A certificate for WebTransport that browsers accept without an authority.
//!
//! The page names the hash of the certificate. Browsers accept that only from certificates with a key
//! on the curve P-256 that are valid for at most 14 days.

use std::{
    error::Error,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use socketio_server::rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A fresh certificate, valid from now on for 13 days.
pub(crate) struct Certificate {
    /// The certificate in DER, of which the page computes the hash.
    pub(crate) der: Vec<u8>,
    pub(crate) tls: Arc<ServerConfig>,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let key = KeyPair::generate()?;
        let names = [Ipv4Addr::LOCALHOST.to_string(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names)?;
        let now = date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH)?;
        params.not_before = now;
        params.not_after = now + 13 * DAY;
        let certificate = params.self_signed(&key)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        // Named explicitly, because a program may link several providers.
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())?;
        Ok(Self { der: certificate.der().to_vec(), tls: Arc::new(tls) })
    }
}
