//! A self-signed certificate, and clients that trust it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc};

use engineio_server::{
    Engine, Listening,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer,
    },
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub struct Secure {
    pub address: SocketAddr,
    pub listening: Listening,
    client: ClientConfig,
}

/// Returns a new certificate for `localhost`, for a server and for clients that trust it.
pub fn certificate() -> (ServerConfig, ClientConfig) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    // Named explicitly, because other crates of the workspace enable another provider.
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

impl Secure {
    /// Starts a listener with TLS for the engine.
    pub async fn listen(engine: &Engine) -> Self {
        let (server, client) = certificate();
        let listening = engine.listen_tls("127.0.0.1:0", Arc::new(server)).await.unwrap();
        Self { address: listening.local_addr().unwrap(), listening, client }
    }

    /// Connects a client that supports these protocols.
    pub async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut client = self.client.clone();
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }
}
