//! Responses without a session, and the body types.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;

use crate::{
    error::{Refusal, Refused},
    stats::Counters,
};

/// The body of the engine's responses.
pub type ResponseBody = Full<Bytes>;

pin_project! {
    /// The body of a response from an [`EngineService`](crate::EngineService): the engine's or the
    /// inner service's.
    #[derive(Debug)]
    pub struct ServiceBody<Inside> {
        #[pin]
        body: Either<ResponseBody, Inside>,
    }
}

impl<Inside> ServiceBody<Inside> {
    pub(crate) fn engine(body: ResponseBody) -> Self {
        Self { body: Either::Left(body) }
    }

    pub(crate) fn inner(body: Inside) -> Self {
        Self { body: Either::Right(body) }
    }
}

/// An empty body, for layers such as `tower_http::cors` that answer some requests themselves.
impl<Inside> Default for ServiceBody<Inside> {
    fn default() -> Self {
        Self::engine(ResponseBody::default())
    }
}

impl<Inside> Body for ServiceBody<Inside>
where
    Inside: Body<Data = Bytes>,
    Inside::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Marks the response to the WebSocket of a new session, as an extension. This project's listener
/// holds it back until the open packet is written, so that both need one system call.
#[derive(Clone, Copy)]
pub(crate) struct SentWithOpenPacket;

impl SentWithOpenPacket {
    pub(crate) fn marks<B>(response: &Response<B>) -> bool {
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            && response.extensions().get::<Self>().is_some()
    }
}

/// Creates a response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = status;
    response
}

/// Creates a response with a numbered error and counts it. All refusals are created here.
pub(crate) fn refusal(counters: &Counters, refused: impl Into<Refused>) -> Response<ResponseBody> {
    let Refused { error, refusal: Refusal { status, code, message }, .. } = refused.into();
    counters.refused(error);
    // Escaped, because the message may come from the application.
    let message = serde_json::Value::from(message);
    let body = format!(r#"{{"code":{code},"message":{message}}}"#);
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
