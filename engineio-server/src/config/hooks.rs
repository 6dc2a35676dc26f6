//! Callbacks of the application during a request.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, request::Parts};

use crate::{
    error::{ConnectionError, Refusal},
    handshake::{FindPeer, Handshake},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type BoxError = Box<dyn Error + Send + Sync>;
type AllowRequest = dyn Fn(Handshake) -> BoxFuture<Result<Handshake, Refusal>> + Send + Sync;
type GenerateId = dyn Fn(&Handshake) -> BoxFuture<Result<String, BoxError>> + Send + Sync;
type Refusals = dyn Fn(&ConnectionError<'_>) + Send + Sync;
type Files = dyn Fn(&str, &Parts) -> Option<Response<Bytes>> + Send + Sync;
type Headers = dyn Fn(&mut HeaderMap, &Parts) + Send + Sync;

/// Tells the time of day, which goes on while the machine sleeps.
pub(crate) type WallClock = dyn Fn() -> SystemTime + Send + Sync;

/// The registered hooks.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) allow_request: Option<Arc<AllowRequest>>,
    pub(crate) generate_id: Option<Arc<GenerateId>>,
    pub(crate) initial_headers: Option<Arc<Headers>>,
    pub(crate) headers: Option<Arc<Headers>>,
    pub(crate) connection_error: Option<Arc<Refusals>>,
    pub(crate) files: Option<Arc<Files>>,
    pub(crate) peer_addr: Option<Arc<FindPeer>>,
    /// Replaces the system's wall clock in tests.
    pub(crate) wall_clock: Option<Arc<WallClock>>,
}

impl Hooks {
    pub(crate) fn allow_request<F, Fut>(&mut self, hook: F)
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Handshake, Refusal>> + Send + 'static,
    {
        self.allow_request = Some(Arc::new(move |handshake| Box::pin(hook(handshake))));
    }

    pub(crate) fn generate_id<F, Fut, E>(&mut self, hook: F)
    where
        F: Fn(&Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.generate_id = Some(Arc::new(move |handshake| {
            let id = hook(handshake);
            Box::pin(async move { id.await.map_err(Into::into) })
        }));
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("allow_request", &self.allow_request.is_some())
            .field("generate_id", &self.generate_id.is_some())
            .field("initial_headers", &self.initial_headers.is_some())
            .field("headers", &self.headers.is_some())
            .field("connection_error", &self.connection_error.is_some())
            .field("files", &self.files.is_some())
            .field("peer_addr", &self.peer_addr.is_some())
            .field("wall_clock", &self.wall_clock.is_some())
            .finish()
    }
}
