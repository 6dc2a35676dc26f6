//! A listener with TLS, and clients that trust it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc};

use engineio_server::{Engine, Listening, rustls::ClientConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::certificate::certificate;

pub struct Secure {
    pub address: SocketAddr,
    pub listening: Listening,
    client: ClientConfig,
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
