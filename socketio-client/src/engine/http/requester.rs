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

use super::{Body, Connection, Http};
use crate::engine::{config::Shared, error::RequestError};

/// The time after which the next request is not expected soon. Checked when the engine is polled, at
/// the latest when the waiting GET frees its buffers.
const SOON: Duration = Duration::from_millis(500);

type Exchange<T> = Pin<Box<dyn Future<Output = (Http, Result<T, RequestError>)> + Send>>;

/// `T` is the result of a request.
pub(in crate::engine) struct Requester<T> {
    shared: Arc<Shared>,
    /// The HTTP client with its persistent connection, unless a request uses it.
    http: Option<Http>,
    exchange: Option<Exchange<T>>,
    began: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> Requester<T> {
    pub(in crate::engine) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, http: None, exchange: None, began: Instant::now(), pause: None }
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

    fn begin(&mut self) -> Http {
        self.began = Instant::now();
        self.http.take().unwrap_or_else(|| Http::new(self.shared.clone()))
    }

    /// Polls the running request. Pending if there is none.
    pub(in crate::engine) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, RequestError>> {
        let Some(exchange) = &mut self.exchange else {
            if let Some(http) = &mut self.http
                && http.has_buffers()
                && self.began.elapsed() >= SOON
            {
                http.shrink(cx);
            }
            return Poll::Pending;
        };
        let (http, result) = ready!(exchange.as_mut().poll(cx));
        self.exchange = None;
        self.http = Some(http);
        Poll::Ready(result)
    }

    /// Drops the request and its connection.
    pub(in crate::engine) fn clear(&mut self) {
        self.http = None;
        self.exchange = None;
    }
}

impl Requester<Body> {
    /// Starts a GET request. It replaces an unfinished one.
    pub(in crate::engine) fn start(&mut self, sid: &str) {
        let (mut http, sid) = (self.begin(), sid.to_owned());
        self.exchange = Some(Box::pin(async move {
            let result = http.get(&sid).await;
            (http, result)
        }));
    }

    /// Keeps the connection of a fully read body for the next request.
    pub(in crate::engine) fn keep(&mut self, connection: Connection) {
        if let Some(http) = &mut self.http {
            http.keep(connection);
        }
    }
}

impl Requester<()> {
    /// Starts a POST request. It replaces an unfinished one.
    pub(in crate::engine) fn start(&mut self, sid: &str, body: Payload) {
        let (mut http, sid) = (self.begin(), sid.to_owned());
        self.exchange = Some(Box::pin(async move {
            let result = http.post(&sid, body).await;
            (http, result)
        }));
    }
}
