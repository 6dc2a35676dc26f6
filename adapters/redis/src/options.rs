//! Options that all three kinds of adapters share.

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
        // Certificates are omitted because they include a private key.
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

/// Defines setters that take and return the options by value.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => { $(
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<$type>) -> Self {
            self.$name = value.into();
            self
        }
    )* };
}

/// Defines the setters of [`Common`].
macro_rules! common {
    () => {
        /// Sets how long one attempt to connect may take (default 2 s, at least 1 ms). Attempts
        /// repeat forever, at most one second apart.
        ///
        /// ```
        /// use std::time::Duration;
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::classic("redis://127.0.0.1")
        ///     .connection_timeout(Duration::from_secs(5));
        /// ```
        pub fn connection_timeout(mut self, value: std::time::Duration) -> Self {
            self.common.connection_timeout = socketio_adapter::internal::bounded_timeout(value);
            self
        }

        /// Sets how long a response of Redis may take (default 2 s, at least 1 ms). When exceeded,
        /// the message is reported as lost, although it may still arrive, and the adapter
        /// reconnects.
        ///
        /// ```
        /// use std::time::Duration;
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options =
        ///     RedisAdapter::classic("redis://127.0.0.1").response_timeout(Duration::from_secs(5));
        /// ```
        pub fn response_timeout(mut self, value: std::time::Duration) -> Self {
            self.common.response_timeout = socketio_adapter::internal::bounded_timeout(value);
            self
        }

        /// Sets the maximum size of an encoded message in bytes (default 10 000 000). Larger
        /// messages are not published. Those of other nodes are counted and dropped undecoded.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// let options = RedisAdapter::classic("redis://127.0.0.1").max_message_bytes(1_000_000);
        /// ```
        pub fn max_message_bytes(mut self, value: usize) -> Self {
            self.common.max_message_bytes = value;
            self
        }

        /// Trusts the authorities of these PEM certificates instead of those of the system. For
        /// `rediss://` addresses; needs the feature `tls`.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// # fn example() -> std::io::Result<()> {
        /// let authorities = std::fs::read("authorities.pem")?;
        /// let options =
        ///     RedisAdapter::classic("rediss://redis.example").root_certificates(authorities);
        /// # Ok(()) }
        /// ```
        #[cfg(feature = "tls")]
        pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
            self.common.certificates().root_cert = Some(pem.into());
            self
        }

        /// Sets a client certificate with its key, both in PEM (default: none). For `rediss://`
        /// addresses; needs the feature `tls`.
        ///
        /// ```
        /// use socketio_adapter_redis::RedisAdapter;
        ///
        /// # fn example() -> std::io::Result<()> {
        /// let (certificate, key) = (std::fs::read("client.pem")?, std::fs::read("client.key")?);
        /// let options =
        ///     RedisAdapter::classic("rediss://redis.example").client_certificate(certificate, key);
        /// # Ok(()) }
        /// ```
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
