//! An HTTP/2 client.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
    ext::Protocol,
};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

use crate::support::within;

pub struct Client {
    pub send: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub async fn over<IO>(stream: IO) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::with(&Builder::new(), stream).await
    }

    pub async fn with<IO>(builder: &Builder, stream: IO) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, connection) = within(builder.handshake(stream)).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    /// Sends a request.
    pub async fn begin(&self, request: Request<()>, body: &str) -> ResponseFuture {
        let mut send = within(self.send.clone().ready()).await.unwrap();
        let (response, mut stream) = send.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        response
    }

    /// Sends a request. Returns the status and body of the response.
    pub async fn request(&self, method: Method, query: &str, body: &str) -> (u16, String) {
        answer(self.begin(to(method, query), body).await).await
    }

    /// Opens a polling session. Returns the body of the handshake.
    pub async fn open(&self) -> String {
        let (status, open) = self.request(Method::GET, "EIO=4&transport=polling", "").await;
        assert_eq!(status, 200, "{open}");
        open
    }

    /// Requests a WebSocket (RFC 8441).
    pub async fn connect(&self, query: &str) -> (Response<RecvStream>, SendStream<Bytes>) {
        let mut send = within(self.send.clone().ready()).await.unwrap();
        within(async {
            while !send.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut request = to(Method::CONNECT, query);
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let version = http::HeaderValue::from_static("13");
        request.headers_mut().insert("sec-websocket-version", version);
        let (response, stream) = send.send_request(request, false).unwrap();
        (within(response).await.unwrap(), stream)
    }
}

pub fn to(method: Method, query: &str) -> Request<()> {
    let uri = format!("http://localhost/engine.io/?{query}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

pub async fn answer(response: ResponseFuture) -> (u16, String) {
    let (parts, mut body) = within(response).await.unwrap().into_parts();
    let mut text = String::new();
    while let Some(data) = within(body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    (parts.status.as_u16(), text)
}

/// Reads until `len` bytes have arrived.
pub async fn read(stream: &mut RecvStream, len: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < len {
        let Some(data) = within(stream.data()).await else { break };
        let data = data.unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        read.extend_from_slice(&data);
    }
    read
}
