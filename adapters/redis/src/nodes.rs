//! Where Redis is.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::options::Common;

/// The address of a Redis server, or those of the nodes of a Redis Cluster: `redis://[user:password@]host[:port][/db]`,
/// `rediss://` for TLS (feature `tls`).
///
/// One address is a server of its own, a list of them is a Redis Cluster, also a list of one. Of a cluster, name as many
/// nodes as there are: others are found by themselves where commands have a key, but plain publish and subscribe stay
/// with those named here.
///
/// What `Debug` writes has neither users nor passwords.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nodes {
    /// A server of its own.
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

/// Users and passwords stand before the host, or in the query of a socket of the system.
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

/// Why an adapter cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An address is none, or needs a feature that is not there.
    #[error("no address of Redis: {0}")]
    Address(#[source] redis::RedisError),
    /// Certificates or a key are none, or there are some although an address does not ask for TLS.
    #[error("no certificates: {0}")]
    Certificates(#[source] redis::RedisError),
    /// A Redis Cluster without nodes.
    #[error("no node of the Redis Cluster is named")]
    NoNodes,
    /// A cluster of streams needs one stream at least.
    #[error("`stream_count` is 0")]
    NoStreams,
}

/// Addresses that were looked at.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    /// For the nodes of a Redis Cluster that are not named.
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

/// With RESP3, in which messages of subscriptions and answers to commands share a connection.
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

/// The client takes rustls's provider of the whole process, and panics where there is none, or no single one to choose.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been quicker.
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
    fn passwords_are_not_written() {
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
    fn what_is_no_address_is_refused() {
        let refused = addresses("nats://127.0.0.1".into());
        assert!(matches!(refused, Err(ConfigError::Address(_))));
        let none = addresses(Vec::<String>::new().into());
        assert!(matches!(none, Err(ConfigError::NoNodes)));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn certificates_want_an_address_that_asks_for_them() {
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
