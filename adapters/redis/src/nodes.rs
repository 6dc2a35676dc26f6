//! The addresses of Redis.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::options::Common;

/// The address of a Redis server, or the addresses of the nodes of a Redis Cluster. The form is
/// `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS (feature `tls`).
///
/// A single address is a single server. A list of addresses is a Redis Cluster, even with one
/// element. List as many nodes of the cluster as possible. Other nodes are discovered for commands
/// with a key, but plain pub/sub uses only the nodes listed here.
///
/// The `Debug` output contains neither users nor passwords.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nodes {
    /// A single server.
    One(String),
    /// Nodes of a Redis Cluster.
    Cluster(Vec<String>),
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(url) => f.debug_tuple("One").field(&without_secrets(url)).finish(),
            Self::Cluster(urls) => {
                let urls: Vec<_> = urls.iter().map(|url| without_secrets(url)).collect();
                f.debug_tuple("Cluster").field(&urls).finish()
            }
        }
    }
}

/// Removes users and passwords, which precede the host. In the URL of a Unix socket they are in the
/// query.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = match scheme.contains("unix") {
        true => rest,
        false => rest.rsplit_once('@').map_or(rest, |(_, host)| host),
    };
    let place = place.split('?').next().unwrap_or_default();
    format!("{scheme}://{place}")
}

impl From<&str> for Nodes {
    fn from(url: &str) -> Self {
        Self::One(url.to_owned())
    }
}

impl From<String> for Nodes {
    fn from(url: String) -> Self {
        Self::One(url)
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Nodes {
    fn from(urls: [T; N]) -> Self {
        Self::Cluster(urls.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>> From<Vec<T>> for Nodes {
    fn from(urls: Vec<T>) -> Self {
        Self::Cluster(urls.into_iter().map(Into::into).collect())
    }
}

/// The reason why the options of an adapter are invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An address is invalid, or needs a feature that is not enabled.
    #[error("invalid Redis address: {0}")]
    Address(#[source] redis::RedisError),
    /// A certificate or key is invalid, or one is configured for an address without TLS.
    #[error("invalid certificates: {0}")]
    Certificates(#[source] redis::RedisError),
    /// The list of nodes of a Redis Cluster is empty.
    #[error("the list of nodes of the Redis Cluster is empty")]
    NoNodes,
    /// `stream_count` must be at least 1.
    #[error("`stream_count` must be at least 1")]
    NoStreams,
}

/// Parsed addresses.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    /// For nodes of a Redis Cluster that are discovered.
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<redis::TlsCertificates>,
}

impl Addresses {
    pub(crate) fn new(nodes: &Nodes, common: &Common) -> Result<Self, ConfigError> {
        let (urls, cluster) = match nodes {
            Nodes::One(url) => (std::slice::from_ref(url), false),
            Nodes::Cluster(urls) => (&urls[..], true),
        };
        let nodes = urls.iter().map(|url| address(url, common)).collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() {
            return Err(ConfigError::NoNodes);
        }
        Ok(Self {
            nodes,
            cluster,
            #[cfg(feature = "tls")]
            certificates: common.certificates.clone(),
        })
    }
}

/// Parses an address. Selects RESP3, in which subscriptions and commands can share a connection.
#[cfg_attr(not(feature = "tls"), allow(unused_variables))]
fn address(url: &str, common: &Common) -> Result<ConnectionInfo, ConfigError> {
    let info = url.into_connection_info().map_err(ConfigError::Address)?;
    #[cfg(feature = "tls")]
    let info = match &common.certificates {
        Some(certificates) => redis::Client::build_with_tls(info, certificates.clone())
            .map_err(ConfigError::Certificates)?
            .get_connection_info()
            .clone(),
        None => info,
    };
    #[cfg(feature = "tls")]
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        provide_cryptography();
    }
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

/// Installs a rustls provider if the process has none. The client of Redis panics without a default
/// provider.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

    if CryptoProvider::get_default().is_none() {
        // Another thread may have installed a provider in the meantime.
        let _ = ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(nodes: Nodes) -> Result<Addresses, ConfigError> {
        Addresses::new(&nodes, &Common::default())
    }

    #[test]
    fn one_address_is_a_server_and_a_list_is_a_cluster() {
        let one = addresses("redis://127.0.0.1".into()).unwrap();
        assert_eq!((one.nodes.len(), one.cluster), (1, false));
        let list = addresses(["redis://127.0.0.1:1", "redis://127.0.0.1:2"].into()).unwrap();
        assert_eq!((list.nodes.len(), list.cluster), (2, true));
    }

    #[test]
    fn a_timeout_of_zero_counts_as_a_millisecond() {
        let zero = std::time::Duration::ZERO;
        let options = crate::RedisAdapter::classic("redis://127.0.0.1").response_timeout(zero);
        let Common { connection_timeout, response_timeout, .. } =
            options.connection_timeout(zero).common;
        assert_eq!(
            [connection_timeout, response_timeout],
            [std::time::Duration::from_millis(1); 2]
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let one = crate::RedisAdapter::classic("rediss://app:p@ss?word@localhost:1/2");
        let socket = crate::RedisAdapter::sharded("redis+unix:///run/redis?user=app&pass=p@ssword");
        let list = crate::RedisAdapter::streams(["redis://:p@ssword@localhost"]);
        for written in [format!("{one:?}"), format!("{socket:?}"), format!("{list:?}")] {
            assert!(!written.contains("word") && !written.contains("pass"), "{written}");
            assert!(written.contains("://"), "{written}");
        }
        assert!(format!("{one:?}").contains("\"rediss://localhost:1/2\""));
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let refused = addresses("nats://127.0.0.1".into());
        assert!(matches!(refused, Err(ConfigError::Address(_))));
        let none = addresses(Vec::<String>::new().into());
        assert!(matches!(none, Err(ConfigError::NoNodes)));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn certificates_require_a_tls_address() {
        let mut common = Common::default();
        common.certificates().root_cert = Some(Vec::new());
        let refused = Addresses::new(&"redis://127.0.0.1".into(), &common);
        assert!(matches!(refused, Err(ConfigError::Certificates(_))), "{refused:?}");
        common.certificates().root_cert =
            Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
        let refused = Addresses::new(&"rediss://127.0.0.1".into(), &common);
        assert!(matches!(refused, Err(ConfigError::Certificates(_))), "{refused:?}");
    }
}
