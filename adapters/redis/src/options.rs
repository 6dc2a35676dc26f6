//! What all three kinds of adapters have in common.

use std::{fmt, time::Duration};

#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) connection_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) max_message_bytes: usize,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<redis::TlsCertificates>,
}

#[cfg(feature = "tls")]
impl Common {
    pub(crate) fn certificates(&mut self) -> &mut redis::TlsCertificates {
        let none = redis::TlsCertificates { client_tls: None, root_cert: None };
        self.certificates.get_or_insert(none)
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without certificates, which come with a key.
        f.debug_struct("Common")
            .field("connection_timeout", &self.connection_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("max_message_bytes", &self.max_message_bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Common {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            max_message_bytes: 10_000_000,
            #[cfg(feature = "tls")]
            certificates: None,
        }
    }
}

/// Setters by value.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => { $(
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<$type>) -> Self {
            self.$name = value.into();
            self
        }
    )* };
}

/// The setters of [`Common`].
macro_rules! common {
    () => {
        /// How long making a connection may take (default 2 s). Attempts go on for ever, up to a second apart.
        pub fn connection_timeout(mut self, value: std::time::Duration) -> Self {
            self.common.connection_timeout = value;
            self
        }

        /// How long an answer of Redis may take (default 2 s). What was to be published is then reported as lost, though it may
        /// still arrive, and the connection is made anew.
        pub fn response_timeout(mut self, value: std::time::Duration) -> Self {
            self.common.response_timeout = value;
            self
        }

        /// Bytes of one message from the bus (default 10 000 000). A larger one is counted and dropped before it is decoded.
        pub fn max_message_bytes(mut self, value: usize) -> Self {
            self.common.max_message_bytes = value;
            self
        }

        /// Trusts the authorities of these certificates, in PEM, and no longer the system's (default: the system's). For
        /// `rediss://` addresses; feature `tls`.
        #[cfg(feature = "tls")]
        pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
            self.common.certificates().root_cert = Some(pem.into());
            self
        }

        /// Shows Redis this certificate with its key, both in PEM (default: none). For `rediss://` addresses; feature `tls`.
        #[cfg(feature = "tls")]
        pub fn client_certificate(
            mut self,
            certificate: impl Into<Vec<u8>>,
            key: impl Into<Vec<u8>>,
        ) -> Self {
            let (client_cert, client_key) = (certificate.into(), key.into());
            let own = redis::ClientTlsConfig { client_cert, client_key };
            self.common.certificates().client_tls = Some(own);
            self
        }
    };
}

pub(crate) use {common, options};
