//! One request at a time: the GETs of a session, or its POSTs.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use engineio_parser::payload::Payload;

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
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, http: None, exchange: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// Begins a GET, or a POST of a body. It replaces one that is not answered.
    pub(super) fn start(&mut self, sid: &str, post: Option<Payload>) {
        let mut http = self.http.take().unwrap_or_else(|| Http::new(self.shared.clone()));
        let sid = sid.to_owned();
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
