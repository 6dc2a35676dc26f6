//! Long-polling: the GET that waits for packets, and the POST that sends them.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use engineio_parser::{
    Frame, Packet, PacketType, PayloadError, Revision, Transport, payload,
    session::{Input, Violation},
};
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;

use crate::{
    config::EngineConfig,
    error::{ErrorContext, Refused, RequestError},
    response::{ResponseBody, empty, refusal},
    shared::{Shared, now},
    stats::{Gauge, saturated},
    transport::jsonp::payload_of_form,
};

const TEXT: &str = "text/plain; charset=UTF-8";
const SCRIPT: &str = "text/javascript; charset=UTF-8";
const BINARY: &str = "application/octet-stream";

/// How many packets of a POST are passed to the session at once.
const PACKETS_AT_ONCE: usize = 256;

/// Answers a GET when there is something to send, with as many packets as fit.
pub(crate) async fn poll(
    shared: Arc<Shared>,
    #[cfg_attr(not(feature = "compression"), expect(unused_variables))] headers: &HeaderMap,
    config: &EngineConfig,
) -> Result<Response<ResponseBody>, Refused> {
    match shared.with(|state| state.session.handle_input(now(), Input::PollStarted)) {
        Ok(()) => {}
        Err(Violation::ConcurrentPoll) => {
            shared.counters.refused.concurrent_poll.one();
            return Ok(empty(StatusCode::BAD_REQUEST));
        }
        Err(_) => return Err(Refused::bad_request(ErrorContext::TransportMismatch)),
    }
    // The HTTP server drops this future if the client disconnects.
    let waiting = RequestGuard { shared: &shared, kind: RequestKind::Poll, armed: true };
    let frames = poll_fn(|cx| {
        let mut state = shared.lock();
        if state.session.has_transmit(Transport::Polling) {
            let budget = config.session.max_payload;
            return Poll::Ready(Some(take(&mut state.session, shared.b64, budget)));
        }
        if state.session.is_closed() {
            return Poll::Ready(None);
        }
        if state.session.transport() != Transport::Polling {
            // The session was upgraded in the meantime and sends nothing more by polling.
            let noop = Frame::text(PacketType::Noop, "");
            return Poll::Ready(Some((state.session.revision(), vec![noop])));
        }
        state.waiting.get_or_insert_default().poll = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
    let Some((revision, frames)) = frames else {
        waiting.finish();
        return Ok(refusal(&shared.counters, RequestError::UnknownSid));
    };
    #[cfg_attr(not(feature = "compression"), expect(unused_mut))]
    let mut response = respond(revision, &shared, &frames);
    // Compressed if at least one of the packets allows it, as in Node.
    #[cfg(feature = "compression")]
    let may_compress = frames.iter().any(Frame::may_compress);
    drop(frames);
    #[cfg(feature = "compression")]
    if let Some(compression) = config.http_compression.as_ref().filter(|_| may_compress) {
        compression.apply(headers, &mut response).await;
    }
    waiting.finish();
    let ready = shared.with(|state| {
        let _ = state.session.handle_input(now(), Input::PollFinished);
        state.ready_to_wake()
    });
    ready.into_iter().for_each(Waker::wake);
    Ok(response)
}

/// Takes the frames that fit into one response.
fn take(
    session: &mut engineio_parser::session::Session,
    b64: bool,
    budget: usize,
) -> (Revision, Vec<Frame>) {
    let mut frames = Vec::new();
    let mut left = budget;
    while let Some(frame) = session.poll_transmit(Transport::Polling, left) {
        left = left.saturating_sub(payload::encoded_len(&frame, session.revision(), b64));
        frames.push(frame);
    }
    (session.revision(), frames)
}

fn respond(revision: Revision, shared: &Shared, frames: &[Frame]) -> Response<ResponseBody> {
    let payload = payload::encode(revision, shared.b64, frames);
    let (body, content_type) = match &shared.jsonp {
        Some(jsonp) => (jsonp.script(&payload.body), SCRIPT),
        None if payload.binary => (payload.body, BINARY),
        None => (payload.body, TEXT),
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// Reads the packets of a POST. A body that is too large, late or malformed ends the session, as in
/// Node.
pub(crate) async fn push<B>(
    shared: Arc<Shared>,
    headers: &HeaderMap,
    body: B,
    config: &EngineConfig,
) -> Result<Response<ResponseBody>, Refused>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let refused = &shared.counters.refused;
    let started = shared.with(|state| {
        state.session.handle_input(now(), Input::PushStarted)?;
        Ok(state.session.revision())
    });
    let revision = match started {
        Ok(revision) => revision,
        Err(Violation::ConcurrentPush) => {
            refused.concurrent_push.one();
            return Ok(empty(StatusCode::BAD_REQUEST));
        }
        Err(_) => return Err(Refused::bad_request(ErrorContext::TransportMismatch)),
    };
    let reading = RequestGuard { shared: &shared, kind: RequestKind::Push, armed: true };
    let binary = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(BINARY.as_bytes()));
    if binary && revision == Revision::V4 {
        refused.binary_body.one();
        return Ok(empty(StatusCode::BAD_REQUEST));
    }
    let mut body = Box::pin(body);
    let collected = {
        let unread = &shared.counters.unread_bytes;
        let mut collect = pin!(collect(body.as_mut(), config.session.max_payload, unread));
        // Most bodies arrive with their heads, and need no timer.
        match poll_fn(|cx| Poll::Ready(collect.as_mut().poll(cx))).await {
            Poll::Ready(collected) => collected,
            Poll::Pending => {
                let collected = async {
                    tokio::select! {
                        biased;
                        () = session_ended(&shared) => None,
                        collected = timeout(config.body_timeout, collect) => Some(collected),
                    }
                };
                match Box::pin(collected).await {
                    Some(collected) => collected.unwrap_or(Err(BodyError::Late)),
                    // The session has ended, for example because of a second POST. The rest of this
                    // body is not needed.
                    None => return Ok(empty(StatusCode::BAD_REQUEST)),
                }
            }
        }
    };
    let body = match collected {
        Ok(body) => body,
        Err(BodyError::Broken) => {
            refused.body_aborted.one();
            return Ok(empty(StatusCode::BAD_REQUEST));
        }
        Err(BodyError::TooLarge) => {
            refused.too_large.one();
            discard(body, config.linger);
            return Ok(empty(StatusCode::PAYLOAD_TOO_LARGE));
        }
        Err(BodyError::Late) => {
            refused.body_timeout.one();
            discard(body, config.linger);
            return Ok(empty(StatusCode::REQUEST_TIMEOUT));
        }
    };
    let (body, binary) = match &shared.jsonp {
        // A body that is not a form becomes an empty payload, which is malformed.
        Some(_) => (payload_of_form(&body).unwrap_or_default(), false),
        None => (body, binary),
    };
    let mut well_formed = true;
    let mut packets = payload::decode(revision, body, binary).peekable();
    while packets.peek().is_some() {
        // Wait until the application has received the previous packets. Decoded, a body of tiny
        // packets takes much more memory than its bytes.
        wait_until_delivered(&shared).await;
        let batch: Vec<_> = packets.by_ref().take(PACKETS_AT_ONCE).collect();
        well_formed = deliver(&shared, batch);
    }
    reading.finish();
    finish_push(&shared);
    if !well_formed {
        return Ok(refusal(&shared.counters, RequestError::BadRequest));
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Waits until the session has ended.
async fn session_ended(shared: &Shared) {
    poll_fn(|cx| {
        let mut state = shared.lock();
        if state.session.is_closed() {
            return Poll::Ready(());
        }
        state.waiting.get_or_insert_default().push = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Waits until the application has received all previous packets.
async fn wait_until_delivered(shared: &Shared) {
    poll_fn(|cx| {
        let mut state = shared.lock();
        if !state.undelivered || state.session.is_closed() {
            return Poll::Ready(());
        }
        state.waiting.get_or_insert_default().push = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Passes packets to the session. Returns whether all of them were well-formed.
fn deliver(shared: &Shared, packets: Vec<Result<Packet, PayloadError>>) -> bool {
    shared.with(|state| {
        let now = now();
        let mut well_formed = true;
        state.undelivered = true;
        for packet in packets {
            let input = match packet {
                Ok(packet) => Input::Packet(Transport::Polling, packet),
                Err(_) => {
                    well_formed = false;
                    shared.counters.refused.malformed_packet.one();
                    Input::Malformed(Transport::Polling)
                }
            };
            // After a violation the session is closed, which its outputs report.
            let _ = state.session.handle_input(now, input);
        }
        well_formed
    })
}

fn finish_push(shared: &Shared) {
    shared.with(|state| {
        state.push_to_wake();
        let _ = state.session.handle_input(now(), Input::PushFinished);
    });
}

enum BodyError {
    TooLarge,
    Broken,
    Late,
}

/// Reads a body. Refuses it by its announced length, if there is one. `unread` counts the bytes of
/// an incomplete body.
async fn collect<B: Body>(
    mut body: Pin<&mut B>,
    limit: usize,
    unread: &Gauge,
) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    // Copied, because each piece is a slice of the connection's read buffer. Many tiny pieces would
    // keep much more memory than they contain.
    let mut bytes = Vec::new();
    let mut reported = Unread { gauge: unread, bytes: 0 };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > limit - bytes.len() {
            return Err(BodyError::TooLarge);
        }
        bytes.put(data);
        // Most bodies arrive at once.
        if !body.is_end_stream() {
            reported.set(saturated(bytes.len()));
        }
    }
    // Messages are slices of this buffer, so it must not be larger than they are.
    Ok(bytes.into_boxed_slice().into())
}

/// The contribution of a body to a gauge, until it is dropped.
struct Unread<'a> {
    gauge: &'a Gauge,
    bytes: u32,
}

impl Unread<'_> {
    fn set(&mut self, bytes: u32) {
        self.gauge.change(self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Reads and drops the rest of a body for at most `time_limit`. Otherwise a client that writes its
/// whole body before it reads the response would find its connection reset and the response lost.
fn discard<B>(mut body: Pin<Box<B>>, time_limit: Duration)
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    tokio::spawn(timeout(time_limit, async move {
        loop {
            let more = matches!(body.frame().await, Some(Ok(_)));
            if !more {
                return;
            }
        }
    }));
}

#[derive(Clone, Copy)]
enum RequestKind {
    Poll,
    Push,
}

/// Reports to the session that a request was dropped before its end.
struct RequestGuard<'a> {
    shared: &'a Shared,
    kind: RequestKind,
    armed: bool,
}

impl RequestGuard<'_> {
    fn finish(mut self) {
        self.armed = false;
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.shared.with(|state| {
                let aborted = match self.kind {
                    RequestKind::Poll => Input::PollAborted,
                    RequestKind::Push => Input::PushAborted,
                };
                if let Some(waiting) = &mut state.waiting {
                    match self.kind {
                        RequestKind::Poll => waiting.poll = None,
                        RequestKind::Push => waiting.push = None,
                    }
                }
                let _ = state.session.handle_input(now(), aborted);
            });
        }
    }
}
