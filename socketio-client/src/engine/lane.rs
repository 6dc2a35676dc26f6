//! One request at a time: the GETs of a session, or its POSTs.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::payload::Payload;

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    config::Shared,
    error::RequestError,
    http::{Body, Http},
};

type Exchange = Pin<Box<dyn Future<Output = (Http, Result<Body, RequestError>)> + Send>>;

pub(super) struct Lane {
    shared: Arc<Shared>,
    /// With the connection that is kept, if there is one.
    http: Option<Http>,
    exchange: Option<Exchange>,
    began: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, http: None, exchange: None, began: Instant::now(), pause: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// No request is to begin sooner than so long after the last one.
    pub(super) fn pause(&mut self, least: Duration) {
        let until = self.began + least;
        self.pause = (until > Instant::now()).then(|| Box::pin(sleep_until(until)));
    }

    /// Whether a request may begin; if not, the caller is woken when it may.
    pub(super) fn is_free(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_ready()) {
            self.pause = None;
        }
        !self.is_busy() && self.pause.is_none()
    }

    /// Begins a GET, or a POST of a body. It replaces one that is not answered.
    pub(super) fn start(&mut self, sid: &str, post: Option<Payload>) {
        let mut http = self.http.take().unwrap_or_else(|| Http::new(self.shared.clone()));
        let sid = sid.to_owned();
        self.began = Instant::now();
        self.exchange = Some(Box::pin(async move {
            let result = http.request(&sid, post).await;
            (http, result)
        }));
    }

    /// The answer of the request that was begun; pending where there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, RequestError>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let (http, result) = ready!(exchange.as_mut().poll(cx));
        self.exchange = None;
        self.http = Some(http);
        Poll::Ready(result)
    }

    /// Lets the connection go.
    pub(super) fn clear(&mut self) {
        self.http = None;
        self.exchange = None;
    }
}
