//! Long-polling without a network: requests and responses are passed as values.

use std::{future::poll_fn, pin::Pin};

use bytes::Bytes;
use engineio_parser::{Frame, Frames, Packet, PacketType, Revision, payload};
use engineio_server::{Engine, ResponseBody};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::testing::error::TestError;

/// The session of one client.
pub(super) struct Wire {
    engine: Engine,
    sid: String,
    /// Held during a POST, because a concurrent POST would close the session.
    posting: Mutex<()>,
}

#[derive(Deserialize)]
struct Open {
    sid: String,
}

impl Wire {
    /// Opens a session with a request that has the headers and extensions of `request`.
    pub(super) async fn open(engine: Engine, request: Request<()>) -> Result<Self, TestError> {
        let (mut parts, ()) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let uri = format!("/?EIO=4&transport=polling&{query}");
        parts.uri = uri.parse().map_err(|_| TestError::Closed)?;
        let response = engine.handle(Request::from_parts(parts, ResponseBody::default())).await;
        let status = response.status();
        let body = text(response).await;
        if status != StatusCode::OK {
            let refused: Option<serde_json::Value> = serde_json::from_str(&body).ok();
            return Err(TestError::Refused { message: format!("{status}: {body}"), data: refused });
        }
        // The open packet comes first. The application may have added a message.
        let open = body.split('\x1e').next().and_then(|packet| packet.strip_prefix('0'));
        let open: Open =
            open.and_then(|json| serde_json::from_str(json).ok()).ok_or(TestError::Closed)?;
        Ok(Self { engine, sid: open.sid, posting: Mutex::new(()) })
    }

    /// Waits for packets. Returns `None` if the session has ended.
    pub(super) async fn poll(&self) -> Option<Vec<Packet>> {
        let response = self.request(Method::GET, Bytes::new()).await;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Bytes::from(text(response).await);
        payload::decode(Revision::V4, body, false).collect::<Result<_, _>>().ok()
    }

    /// Sends messages in one request.
    pub(super) async fn post(&self, messages: &[Frames]) -> Result<(), TestError> {
        let frames: Vec<Frame> = messages.iter().flat_map(Frames::iter).cloned().collect();
        self.post_frames(&frames).await
    }

    pub(super) async fn post_packet(&self, kind: PacketType, text: &str) -> Result<(), TestError> {
        self.post_frames(&[Frame::text(kind, text)]).await
    }

    async fn post_frames(&self, frames: &[Frame]) -> Result<(), TestError> {
        let body = payload::encode(Revision::V4, true, frames).body;
        let _posting = self.posting.lock().await;
        match self.request(Method::POST, body).await.status() {
            StatusCode::OK => Ok(()),
            _ => Err(TestError::Closed),
        }
    }

    async fn request(&self, method: Method, body: Bytes) -> Response<ResponseBody> {
        let mut request = Request::new(ResponseBody::new(body));
        *request.method_mut() = method;
        let uri = format!("/?EIO=4&transport=polling&sid={}", self.sid);
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        self.engine.handle(request).await
    }
}

async fn text(response: Response<ResponseBody>) -> String {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.into_data() {
            text.extend_from_slice(&data);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
