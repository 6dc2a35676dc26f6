//! A scripted WebTransport server on the loopback interface.

use std::{net::Ipv4Addr, sync::Arc};

use engineio_parser::{
    Frame as Message, Packet,
    webtransport::{Decoder, encode},
};
use quinn::{Connection, Endpoint, RecvStream, SendStream, crypto::rustls::QuicServerConfig};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider},
    pki_types::PrivateKeyDer,
};
use wtransport_proto::{
    ids::StatusCode, session::SessionResponse, settings::Settings, stream_header::StreamHeader,
};

use super::*;

pub(super) const OPEN: &str =
    r#"{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":2000000}"#;

/// `H3_NO_ERROR` of HTTP/3.
pub(super) const NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);

pub(super) struct Peer {
    endpoint: Endpoint,
    pub(super) hash: [u8; 32],
    pub(super) roots: RootCertStore,
}

/// A session of the peer.
pub(super) struct Session {
    pub(super) connection: Connection,
    _control: SendStream,
    pub(super) request: (SendStream, RecvStream),
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    decoder: Decoder,
}

/// The bytes of the settings, with the type of their stream.
pub(super) fn settings() -> Vec<u8> {
    let mut bytes = Vec::new();
    StreamHeader::new_control().write(&mut bytes).unwrap();
    let settings = Settings::builder().enable_connect_protocol().enable_webtransport().build();
    settings.generate_frame().write(&mut bytes).unwrap();
    bytes
}

/// The bytes of a response.
pub(super) fn response(status: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut response = SessionResponse::with_status_code(StatusCode::try_from_u32(status).unwrap());
    response.add("set-cookie", "node=7");
    response.headers().generate_frame().write(&mut bytes).unwrap();
    bytes
}

impl Peer {
    pub(super) fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicServerConfig::try_from(config).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let sha256 = TLS13_AES_128_GCM_SHA256.tls13().unwrap().common.hash_provider;
        let hash = sha256.hash(cert.der()).as_ref().try_into().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        Self { endpoint, hash, roots }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.endpoint.local_addr().unwrap())
    }

    pub(super) fn options(&self) -> EngineOptions {
        only(Transport::WebTransport).certificate_hashes([[0; 32], self.hash])
    }

    pub(super) fn config(&self) -> EngineConfig {
        engine_config(&self.url(), &self.options()).unwrap()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) async fn connection(&self) -> Connection {
        self.endpoint.accept().await.unwrap().await.unwrap()
    }

    /// Accepts a connection, and writes the response to its request. Returns the control stream
    /// and the stream of the request too.
    pub(super) async fn respond(
        &self,
        response: &[u8],
    ) -> (Connection, SendStream, (SendStream, RecvStream)) {
        let connection = self.connection().await;
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&settings()).await.unwrap();
        let mut request = connection.accept_bi().await.unwrap();
        request.0.write_all(response).await.unwrap();
        (connection, control, request)
    }

    /// Accepts a session, and returns it with the client's first packet.
    pub(super) async fn accept(&self) -> (Session, Packet) {
        let (connection, control, request) = self.respond(&response(200)).await;
        let (send, mut recv) = connection.accept_bi().await.unwrap();
        // The type of the stream and the id of the session.
        recv.read_exact(&mut [0; 3]).await.unwrap();
        let decoder = Decoder::new(2_000_000);
        let mut session = Session { connection, _control: control, request, send, recv, decoder };
        let first = session.next().await.unwrap();
        (session, first)
    }

    /// Opens a session with this client.
    pub(super) async fn open(&self, config: &EngineConfig) -> (Engine, Session) {
        let server = async {
            let (mut session, first) = self.accept().await;
            assert_eq!(first, Packet::text(PacketType::Open, ""));
            session.send(&Message::text(PacketType::Open, OPEN)).await;
            session
        };
        let (engine, session) = tokio::join!(Engine::open(config), server);
        (engine.unwrap(), session)
    }
}

impl Session {
    /// Returns the next packet, or `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.next().unwrap() {
                return Some(packet);
            }
            let chunk = self.recv.read_chunk(64 * 1024, true).await.ok()??;
            self.decoder.push(&chunk.bytes);
        }
    }

    pub(super) async fn send(&mut self, frame: &Message) {
        let (header, packet) = encode(frame);
        self.send.write_all(&[header.as_ref(), &packet].concat()).await.unwrap();
    }

    pub(super) async fn echo(mut self) {
        while let Some(packet) = self.next().await {
            let frame = match packet.data {
                PacketData::Text(text) => Message::text(packet.kind, &text),
                PacketData::Binary(data) => Message::binary(data),
            };
            self.send(&frame).await;
        }
    }
}
