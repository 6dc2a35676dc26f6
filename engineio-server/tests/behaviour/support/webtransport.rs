//! WebTransport clients that follow each test step by step, down to single bytes.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc};

use engineio_parser::{
    Frame, Packet, PacketType,
    webtransport::{Decoder, encode},
};
use engineio_server::{Engine, Listening};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt,
    crypto::rustls::QuicClientConfig,
};
use wtransport_proto::{
    bytes::BufferReader,
    frame::{Frame as Http3Frame, FrameKind},
    headers::Headers,
    ids::StreamId,
    settings::Settings,
    stream_header::StreamHeader,
    varint::VarInt as ProtoVarInt,
};

use crate::{certificate, support::within};

/// A listener for WebTransport, and an endpoint for its clients.
pub struct WebTransport {
    pub address: SocketAddr,
    pub listening: Listening,
    pub endpoint: Endpoint,
}

impl WebTransport {
    pub async fn listen(engine: &Engine) -> Self {
        let (mut server, mut client) = certificate::certificate();
        // The listener does not accept early data all the same.
        server.max_early_data_size = u32::MAX;
        let listening = engine.listen_webtransport("127.0.0.1:0", Arc::new(server)).await.unwrap();
        client.alpn_protocols = vec![b"h3".to_vec()];
        client.enable_early_data = true;
        let crypto = QuicClientConfig::try_from(client).unwrap();
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
        Self { address: listening.local_addr().unwrap(), listening, endpoint }
    }

    /// Connects without sending anything on a stream.
    pub async fn connect(&self) -> Connection {
        within(self.endpoint.connect(self.address, "localhost").unwrap()).await.unwrap()
    }

    /// Requests a session. Returns it, or the status of the refusal.
    pub async fn request(&self, path: &str, headers: &[(&str, &str)]) -> Result<Session, String> {
        let connection = self.connect().await;
        self.request_on(connection, path, headers).await
    }

    /// Requests a session on a connection.
    pub async fn request_on(
        &self,
        connection: Connection,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Session, String> {
        let control = open_control(&connection).await;
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&request(path, headers)).await.unwrap();
        let status = within(read_status(&mut recv)).await;
        if status != "200" {
            return Err(status);
        }
        Ok(Session { connection, control, request: (send, recv) })
    }

    /// Opens a session with an accepted request and sends `bytes` on its stream.
    pub async fn open(&self, bytes: impl AsRef<[u8]>) -> (Session, Stream) {
        let session = self.request("/engine.io/", &[]).await.unwrap();
        let mut stream = session.stream().await;
        stream.write(bytes.as_ref()).await;
        (session, stream)
    }
}

/// A session whose request was accepted.
pub struct Session {
    pub connection: Connection,
    pub control: SendStream,
    pub request: (SendStream, RecvStream),
}

impl Session {
    /// Opens a stream.
    pub async fn stream(&self) -> Stream {
        let (mut send, recv) = self.connection.open_bi().await.unwrap();
        let id = VarInt::from(self.request.0.id()).into_inner();
        let id = StreamId::new(ProtoVarInt::try_from_u64(id).unwrap());
        let session = wtransport_proto::ids::SessionId::try_from_session_stream(id).unwrap();
        let mut header = Vec::new();
        Http3Frame::new_webtransport(session).write(&mut header).unwrap();
        send.write_all(&header).await.unwrap();
        Stream { send, recv, decoder: Decoder::new(u64::MAX) }
    }

    /// Waits until the server has closed the session, and returns the code and message of its close
    /// capsule. Then closes the connection.
    pub async fn closed(mut self) -> Option<(u32, String)> {
        let bytes = within(self.request.1.read_to_end(4096)).await.ok()?;
        let mut reader = BufferReader::new(&bytes);
        let frame = Http3Frame::read_from_buffer(&mut reader).ok()??;
        let capsule = wtransport_proto::capsule::Capsule::with_frame(&frame)?;
        let close =
            wtransport_proto::capsule::capsules::CloseWebTransportSession::with_capsule(&capsule)
                .ok()?;
        Some((close.error_code().into_inner() as u32, close.reason().to_owned()))
    }

    /// Waits until the connection has ended.
    pub async fn lost(self) -> ConnectionError {
        within(self.connection.closed()).await
    }
}

/// The stream that carries packets.
pub struct Stream {
    pub send: SendStream,
    pub recv: RecvStream,
    decoder: Decoder,
}

impl Stream {
    pub async fn write(&mut self, bytes: &[u8]) {
        within(self.send.write_all(bytes)).await.unwrap();
    }

    /// Sends a text packet, such as `4hello`.
    pub async fn text(&mut self, packet: &str) {
        let kind = PacketType::from_digit(packet.as_bytes()[0]).unwrap();
        self.frame(&Frame::text(kind, &packet[1..])).await;
    }

    pub async fn frame(&mut self, frame: &Frame) {
        let (header, packet) = encode(frame);
        self.write(header.as_ref()).await;
        self.write(&packet).await;
    }

    /// Returns the next packet. `None` after the end of the stream.
    pub async fn packet(&mut self) -> Option<Packet> {
        within(async {
            loop {
                if let Some(packet) = self.decoder.next().unwrap() {
                    return Some(packet);
                }
                let mut chunk = [0; 4096];
                let len = self.recv.read(&mut chunk).await.ok()??;
                self.decoder.push(&chunk[..len]);
            }
        })
        .await
    }
}

/// Opens the control stream with the settings of a client.
pub async fn open_control(connection: &Connection) -> SendStream {
    let mut control = connection.open_uni().await.unwrap();
    let settings = Settings::builder().enable_webtransport().enable_h3_datagrams().build();
    let mut bytes = Vec::new();
    StreamHeader::new_control().write(&mut bytes).unwrap();
    settings.generate_frame().write(&mut bytes).unwrap();
    control.write_all(&bytes).await.unwrap();
    control
}

/// Builds a request for a session.
pub fn request(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":protocol", "webtransport"),
        (":authority", "localhost"),
        (":path", path),
    ];
    let fields: Vec<_> = pseudo.iter().chain(headers).copied().collect();
    head(&fields)
}

/// Builds the head of any request.
pub fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let headers: Headers = fields.iter().copied().collect();
    let mut bytes = Vec::new();
    headers.generate_frame().write(&mut bytes).unwrap();
    bytes
}

/// Reads the status of a response.
pub async fn read_status(recv: &mut RecvStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut reader = BufferReader::new(&bytes);
        if let Ok(Some(frame)) = Http3Frame::read_from_buffer(&mut reader)
            && let FrameKind::Headers = frame.kind()
        {
            return Headers::with_frame(&frame).unwrap().get(":status").unwrap().to_owned();
        }
        let mut chunk = [0; 1024];
        match recv.read(&mut chunk).await {
            Ok(Some(len)) => bytes.extend_from_slice(&chunk[..len]),
            end => return format!("{end:?}"),
        }
    }
}
