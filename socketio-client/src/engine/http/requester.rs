//! The GETs or the POSTs of a session, one request at a time.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::payload::Payload;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Body;
use crate::engine::{config::Shared, dial::BoxStream, error::RequestError};

type Exchange<T> = Pin<Box<dyn Future<Output = Result<T, RequestError>> + Send>>;

/// `T` is the result of a request.
pub(in crate::engine) struct Requester<T> {
    shared: Arc<Shared>,
    /// The connection, unless a request uses it.
    idle: Option<BoxStream>,
    exchange: Option<Exchange<T>>,
    began: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> Requester<T> {
    pub(in crate::engine) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: None, exchange: None, began: Instant::now(), pause: None }
    }

    pub(in crate::engine) fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// Delays the next request until `least` has passed since the start of the last one.
    pub(in crate::engine) fn pause(&mut self, least: Duration) {
        let until = self.began + least;
        self.pause = (until > Instant::now()).then(|| Box::pin(sleep_until(until)));
    }

    /// Returns whether a request may start. If not, the task is woken when it may.
    pub(in crate::engine) fn is_free(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_ready()) {
            self.pause = None;
        }
        !self.is_busy() && self.pause.is_none()
    }

    /// Polls the running request. Pending if there is none.
    pub(in crate::engine) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RequestError>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let result = ready!(exchange.as_mut().poll(cx));
        self.exchange = None;
        Poll::Ready(result)
    }

    /// Keeps a connection for the next request.
    pub(in crate::engine) fn keep(&mut self, stream: Option<BoxStream>) {
        self.idle = stream;
    }

    /// Drops the request and its connection.
    pub(in crate::engine) fn clear(&mut self) {
        self.idle = None;
        self.exchange = None;
    }
}

impl Requester<Body> {
    /// Starts a GET request. It replaces an unfinished one.
    pub(in crate::engine) fn start(&mut self, sid: &str) {
        self.began = Instant::now();
        let (shared, idle, sid) = (self.shared.clone(), self.idle.take(), sid.to_owned());
        self.exchange = Some(Box::pin(async move { shared.get(idle, &sid).await }));
    }
}

impl Requester<Option<BoxStream>> {
    /// Starts a POST request. It replaces an unfinished one.
    pub(in crate::engine) fn start(&mut self, sid: &str, body: Payload) {
        self.began = Instant::now();
        let (shared, idle, sid) = (self.shared.clone(), self.idle.take(), sid.to_owned());
        self.exchange = Some(Box::pin(async move { shared.post(idle, &sid, body).await }));
    }
}
