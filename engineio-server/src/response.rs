//! Responses that need no session.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;

use crate::{
    error::{Refusal, Refused},
    stats::Counters,
};

/// The body of the engine's responses.
pub type ResponseBody = Full<Bytes>;

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = status;
    response
}

/// A response that carries a numbered error. It is counted here, as every refusal comes this way.
pub(crate) fn refusal(counters: &Counters, refused: impl Into<Refused>) -> Response<ResponseBody> {
    let Refused { error, refusal: Refusal { status, code, message }, .. } = refused.into();
    counters.refused(error);
    // The message may be the application's.
    let message = serde_json::Value::from(message);
    let body = format!(r#"{{"code":{code},"message":{message}}}"#);
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
