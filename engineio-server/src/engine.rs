//! The engine, which turns HTTP requests into sessions.

#[cfg(feature = "webtransport")]
pub(crate) mod webtransport;

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use engineio_parser::{
    Revision, Transport,
    session::{self, CloseReason, Input, Session, Unsent},
};
use http::{Method, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::Body;
use hyper::upgrade::Upgraded;

use crate::{
    accept::{Accepted, WEBSOCKET_VERSION, accept, has_supported_version},
    admission::{SessionParameters, admit, check_limits, session_id},
    config::EngineConfig,
    connection::Connection,
    drain::{self, DrainSummary},
    error::{ErrorContext, Refused, RequestError},
    handshake::Handshake,
    registry::{ActiveGuard, Registry},
    request::{self, Purpose, classify, is_websocket, wants_upgrade},
    response::{ResponseBody, SentWithOpenPacket, empty, refusal},
    shared::{Handle, Shared, now},
    stats::Stats,
    transport::{
        MessageTransport,
        jsonp::Jsonp,
        polling,
        websocket::{Parameters, WebSocket},
    },
};

/// The application that handles sessions.
///
/// Every `Fn(Connection) -> impl Future` implements this trait, which suffices for most
/// applications. Implement it for a type of your own if the application has named state:
///
/// ```
/// use std::{future::Future, pin::Pin};
/// use engineio_server::{Application, Connection};
///
/// struct Greeter {
///     greeting: String,
/// }
///
/// impl Application for Greeter {
///     fn session(&self, mut connection: Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
///         let greeting = self.greeting.clone();
///         Box::pin(async move {
///             let _ = connection.send(greeting);
///             while connection.recv().await.is_ok() {}
///         })
///     }
/// }
/// ```
pub trait Application: Send + Sync + 'static {
    /// Called once per session. The returned future runs in the session's own task and drives the
    /// session. When it ends or panics, the session is closed.
    fn session(&self, connection: Connection) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<F, Fut> Application for F
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn session(&self, connection: Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self(connection))
    }
}

/// An Engine.IO server. A clone costs one reference count.
///
/// It serves HTTP itself ([`listen`](Self::listen)), or as a tower service inside another server
/// ([`layer`](Self::layer), [`service`](Self::service), or manually with [`handle`](Self::handle)).
/// Sessions outlive the last clone.
///
/// ```
/// use engineio_server::{Connection, Engine, EngineConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let engine = Engine::new(EngineConfig::default(), |mut connection: Connection| async move {
///     let _ = connection.send("welcome");
///     while let Ok(message) = connection.recv().await {
///         println!("{}: {message:?}", connection.handle().sid());
///     }
/// });
/// let listening = engine.listen("127.0.0.1:0").await?;
/// println!("listening on {}", listening.local_addr()?);
///
/// engine.close();
/// listening.stop();
/// listening.join().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    session: Arc<session::Config>,
    pub(crate) registry: Arc<Registry>,
    application: Box<dyn Application>,
}

impl Engine {
    /// Creates an engine that passes every session to `application`.
    pub fn new(config: EngineConfig, application: impl Application) -> Self {
        Self(Arc::new(Inner {
            session: config.session(),
            registry: Arc::new(Registry::new(config)),
            application: Box::new(application),
        }))
    }

    /// Returns the number of open sessions.
    pub fn clients_count(&self) -> usize {
        self.0.registry.len()
    }

    /// Returns the configuration.
    pub fn config(&self) -> &EngineConfig {
        &self.0.registry.config
    }

    /// Returns the path of requests, without the slash at its end if
    /// [`add_trailing_slash`](EngineConfig::add_trailing_slash) is off.
    pub fn path(&self) -> &str {
        &self.0.registry.config.path
    }

    /// Returns a handle to the open session with this id.
    pub fn client(&self, sid: &str) -> Option<Handle> {
        self.0.registry.get(sid).map(Handle)
    }

    /// Returns statistics about the engine and its sessions. Do not call it for every request: it
    /// briefly locks each open session.
    ///
    /// ```
    /// # let engine = engineio_server::Engine::new(Default::default(), |_| async {});
    /// let stats = engine.stats();
    /// println!("{} sessions, {} of them polling", stats.sessions.total(), stats.sessions.polling);
    /// println!("{} of {} ended in a ping timeout", stats.closed.ping_timeout, stats.closed.total());
    /// ```
    pub fn stats(&self) -> Stats {
        self.0.registry.stats()
    }

    /// Reports [`stats`](Self::stats) to the recorder of the `metrics` facade. Call it from a timer
    /// or before each scrape. The engine does not report on its own. Every metric has the label
    /// `path`, which is the path of the engine.
    ///
    /// | metric | kind | further label |
    /// |---|---|---|
    /// | `engineio_sessions` | gauge | `transport`: a field of [`SessionStats`](crate::SessionStats) |
    /// | `engineio_opened_total` | counter | |
    /// | `engineio_closed_total` | counter | `reason`: a field of [`CloseStats`](crate::CloseStats) |
    /// | `engineio_upgraded_total`, `engineio_probes_failed_total` | counter | |
    /// | `engineio_packets_total`, `engineio_bytes_total` | counter | `direction`: `in` or `out` |
    /// | `engineio_queued_packets`, `engineio_queued_bytes` | gauge | |
    /// | `engineio_unwritten_bytes`, `engineio_unread_bytes` | gauge | |
    /// | `engineio_refused_total` | counter | `why`: a field of [`RefusalStats`](crate::RefusalStats) |
    /// | `engineio_at_work` | gauge | |
    #[cfg(feature = "metrics")]
    pub fn report_metrics(&self) {
        self.stats().report(&self.0.registry.config.path);
    }

    /// Closes every session ("forced close") at once and refuses new sessions with 503. See
    /// [`drain`](Self::drain) for a gradual shutdown.
    ///
    /// Queued messages are sent first, for at most [`linger`](EngineConfig::linger) (default 3 s).
    /// A polling client without a pending request fetches them with its next request, so keep the
    /// listener running until [`ended`](Self::ended) returns.
    pub fn close(&self) {
        let linger = self.0.registry.config.linger;
        for shared in self.0.registry.close() {
            shared.with(|state| {
                state.session.close(now(), CloseReason::ForcedClose, Unsent::Send);
                state.session.close_within(now(), linger);
            });
        }
    }

    /// Closes the engine over `duration`, so that its clients do not all reconnect at once.
    ///
    /// From now on, requests for a new session get 503 with `Retry-After` and
    /// `{"code":6,"message":"Server shutting down"}`. Requests and upgrades of open sessions are
    /// served as before. The sessions are closed ("forced close") at random times spread evenly
    /// over `duration`. As with [`close`](Self::close), queued messages are sent first.
    ///
    /// Returns when all sessions have ended, at the latest after `duration` plus twice
    /// [`linger`](EngineConfig::linger). A call of [`close`](Self::close) ends the drain at once.
    /// If the future is dropped, the remaining sessions stay open.
    ///
    /// # Stopping a node
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use engineio_server::{Connection, Engine, EngineConfig};
    /// # async fn run(engine: Engine, stop_signal: impl Future<Output = ()>) -> std::io::Result<()> {
    /// let listening = engine.listen("0.0.0.0:3000").await?;
    /// stop_signal.await; // SIGTERM, after the load balancer directs new clients to other nodes
    /// let drained = engine.drain(Duration::from_secs(30)).await;
    /// println!("{drained:?}");
    /// // Stop last: until here the listener serves the requests of polling clients.
    /// listening.stop();
    /// listening.join().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If a supervisor stops the process, let it wait for `duration` plus ten seconds.
    pub async fn drain(&self, duration: Duration) -> DrainSummary {
        drain::drain(&self.0.registry, duration).await
    }

    /// Waits until every session and its application's future have ended, and every closed
    /// WebSocket has been shut down. Call it at the end of a program, after [`close`](Self::close).
    /// Otherwise data that is still to be written is lost with the runtime.
    pub async fn ended(&self) {
        self.0.registry.ended().await;
    }

    /// Returns whether a request with this path belongs to the engine.
    pub fn matches(&self, path: &str) -> bool {
        path.starts_with(self.0.registry.config.path.as_str())
    }

    /// Answers one request. The caller checks with [`matches`](Self::matches) whether it belongs to
    /// the engine.
    ///
    /// The future of a polling GET waits until there is something to send. If the future of a GET
    /// or POST is dropped before it ends, the session is closed ("transport error").
    ///
    /// A WebSocket request needs an HTTP server that supports hyper's upgrades.
    ///
    /// Refusals contain the protocol's error codes (see [`RequestError`]). In addition, the engine
    /// answers 400 without a body to a second concurrent GET or POST and to a binary body, 408 if a
    /// body does not arrive in time, 413 if it exceeds `max_payload`, and 500 for other methods.
    ///
    /// If a hook of the application panics, the response is 500. A session that the request opened,
    /// or whose messages it carried, is closed.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body + Send + 'static,
        B::Data: Send,
    {
        let (mut parts, body) = request.into_parts();
        self.handle_parts(&mut parts, &mut Some(body)).await
    }

    /// Does the same as [`handle`](Self::handle). The future is smaller, because it borrows the
    /// request. Takes the body if it is needed.
    pub(crate) async fn handle_parts<B>(
        &self,
        parts: &mut Parts,
        body: &mut Option<B>,
    ) -> Response<ResponseBody>
    where
        B: Body + Send + 'static,
        B::Data: Send,
    {
        let mut effects = Effects::default();
        let response = catch_panic(pin!(self.respond(parts, body, &mut effects))).await;
        if let Some(upgrade) = effects.upgrade.filter(|_| response.is_some()) {
            tokio::spawn(Upgrade::Handshake(upgrade));
        }
        #[cfg_attr(not(feature = "webtransport"), expect(unused_mut, reason = "not changed"))]
        let mut response = response.unwrap_or_else(|| {
            self.count_panic();
            if let Some(shared) = effects.session {
                Handle(shared).close(Unsent::Discard);
            }
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        });
        #[cfg(feature = "webtransport")]
        self.announce(&mut response);
        response
    }

    fn count_panic(&self) {
        tracing::error!(target: "engineio::engine", "a hook of the application panicked");
        self.0.registry.counters.refused.hook_panicked.one();
    }

    /// Answers one request. Stores in `effects` what depends on whether a hook panics.
    async fn respond<B>(
        &self,
        parts: &mut Parts,
        body: &mut Option<B>,
        effects: &mut Effects,
    ) -> Response<ResponseBody>
    where
        B: Body + Send + 'static,
        B::Data: Send,
    {
        let config = &self.0.registry.config;
        if let Some(cors) = &config.cors
            && parts.method == Method::OPTIONS
        {
            return cors.preflight(&parts.headers);
        }
        // The first future is boxed, because most applications serve no files.
        if config.hooks.files.is_some()
            && let Some(response) = Box::pin(self.file(parts)).await
        {
            return self.complete(parts, response);
        }
        let response = match self.answer(parts, body, effects).await {
            Ok(response) => response,
            Err(refused) => self.refuse(parts, refused),
        };
        let mut response = self.complete(parts, response);
        if let Some(hook) = &config.hooks.headers
            && accepts_header_hooks(&response)
        {
            hook(response.headers_mut(), parts);
        }
        response
    }

    /// Adds the headers that all responses have.
    fn complete(
        &self,
        parts: &Parts,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        if let Some(cors) = &self.0.registry.config.cors {
            cors.apply(&parts.headers, response.headers_mut());
        }
        response
    }

    /// Returns a file below the path, such as a client script, if the application serves one.
    async fn file(&self, parts: &Parts) -> Option<Response<ResponseBody>> {
        let config = &self.0.registry.config;
        let rest = parts.uri.path().strip_prefix(config.path.as_str())?;
        let response = config.hooks.files.as_ref()?(rest.trim_start_matches('/'), parts)?;
        #[cfg_attr(not(feature = "compression"), expect(unused_mut, reason = "not changed"))]
        let mut response = response.map(ResponseBody::new);
        #[cfg(feature = "compression")]
        if let Some(compression) = &config.http_compression {
            compression.apply(&parts.headers, &mut response).await;
        }
        Some(response)
    }

    async fn answer<B>(
        &self,
        parts: &mut Parts,
        body: &mut Option<B>,
        effects: &mut Effects,
    ) -> Result<Response<ResponseBody>, Refused>
    where
        B: Body + Send + 'static,
        B::Data: Send,
    {
        let config = &self.0.registry.config;
        let request = match classify(parts, config)? {
            request::Request::Session(request) => request,
            request::Request::Open { transport, revision, b64, jsonp } => {
                // Boxed, because the most frequent requests name a session.
                let open = async move {
                    let parameters = self.prepare(parts, transport, revision, b64, jsonp).await?;
                    let mut response = if transport == Transport::Polling {
                        self.open_polling(parts, parameters, effects).await?
                    } else {
                        self.open_websocket(parts, parameters, effects)?
                    };
                    if let Some(hook) = &config.hooks.initial_headers
                        && accepts_header_hooks(&response)
                    {
                        hook(response.headers_mut(), parts);
                    }
                    Ok(response)
                };
                return Box::pin(open).await;
            }
        };
        let shared = self.0.registry.get(&request.sid).ok_or(RequestError::UnknownSid)?;
        let (transport, revision) = {
            let session = &shared.lock().session;
            (session.transport(), session.revision())
        };
        let (purpose, b64) = (request.purpose(&parts.method, transport, revision)?, request.b64);
        // Its memory is not needed while the request waits.
        drop(request);
        match purpose {
            Purpose::Poll => {
                effects.session = Some(shared.clone());
                polling::poll(shared, &parts.headers, config).await
            }
            Purpose::Push => {
                let Some(body) = body.take() else {
                    return Err(Refused::bad_request(ErrorContext::TransportMismatch));
                };
                effects.session = Some(shared.clone());
                let mut response = polling::push(shared, &parts.headers, body, config).await?;
                if response.status().is_client_error() {
                    // The rest of the body must not be parsed as a request.
                    close_connection(parts, &mut response);
                }
                Ok(response)
            }
            Purpose::Upgrade => self.upgrade(parts, shared, b64, effects),
            Purpose::Other => {
                self.0.registry.counters.refused.bad_method.one();
                Ok(empty(StatusCode::INTERNAL_SERVER_ERROR))
            }
        }
    }

    /// Checks whether a handshake may open a session. `revision` is `None` if it is not supported.
    async fn prepare(
        &self,
        parts: &Parts,
        transport: Transport,
        revision: Option<Revision>,
        b64: bool,
        jsonp: Option<Jsonp>,
    ) -> Result<SessionParameters, Refused> {
        let registry = &self.0.registry;
        if registry.is_closed() {
            return Err(RequestError::ShuttingDown.into());
        }
        let config = &registry.config;
        let (proxies, peer_addr) = (config.proxies.as_ref(), config.hooks.peer_addr.as_deref());
        let handshake = Handshake::new(parts, proxies, peer_addr);
        let slot = check_limits(&handshake, registry)?;
        let handshake = admit(handshake, config).await?;
        let revision = revision.ok_or(RequestError::UnsupportedVersion)?;
        let sid = session_id(&handshake, registry).await?;
        let handshake = handshake.trimmed(&config.extensions, config.max_kept_head);
        Ok(SessionParameters { sid, handshake, revision, b64, transport, jsonp, slot })
    }

    async fn open_polling(
        &self,
        parts: &Parts,
        parameters: SessionParameters,
        effects: &mut Effects,
    ) -> Result<Response<ResponseBody>, Refused> {
        let config = &self.0.registry.config;
        let (shared, guard) = self.open(parameters)?;
        effects.session = Some(shared.clone());
        let connection = Connection::new(guard, shared.clone(), None);
        // The handshake's GET is the first poll. It is answered before the application runs, so
        // that it contains only the open packet and the initial packet.
        let mut response = polling::poll(shared.clone(), &parts.headers, config).await?;
        if let Some(cookie) = config.cookie.as_ref().and_then(|cookie| cookie.header(shared.sid()))
        {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        tokio::spawn(self.0.application.session(connection));
        Ok(response)
    }

    fn open_websocket(
        &self,
        parts: &mut Parts,
        parameters: SessionParameters,
        effects: &mut Effects,
    ) -> Result<Response<ResponseBody>, Refused> {
        let Accepted { mut response, upgrade, compression } =
            accept(parts, &self.0.registry.config)?;
        response.extensions_mut().insert(SentWithOpenPacket);
        let engine = self.clone();
        effects.upgrade = Some(Box::pin(async move {
            let upgraded = upgrade.await.ok()?;
            let websocket =
                engine.websocket(upgraded, parameters.revision, parameters.b64, compression);
            // Another session has taken the id, or the engine is closed.
            let Ok((shared, guard)) = engine.open(parameters) else {
                engine.hang_up(*websocket);
                return None;
            };
            let mut connection = Connection::new(guard, shared, Some(websocket));
            connection.write_open_packet().await;
            Some(engine.0.application.session(connection))
        }));
        Ok(response)
    }

    /// Opens a session. Returns it with the guard that counts it as active.
    fn open(&self, parameters: SessionParameters) -> Result<(Arc<Shared>, ActiveGuard), Refused> {
        let SessionParameters { sid, handshake, revision, b64, transport, jsonp, slot } =
            parameters;
        let mut session = Session::server(now(), self.0.session.clone(), revision, transport, sid);
        if let Some(frame) = &self.0.registry.config.initial_packet {
            // An empty queue accepts one message of any size.
            let _ = session.send(frame.clone().into());
        }
        let counters = &self.0.registry.counters;
        let shared = Shared::new(session, handshake, b64, counters.clone()).with_jsonp(jsonp);
        shared.lock().slot = slot;
        let shared = Arc::new(shared);
        // Counted before others can find it, so that closing the engine waits for it.
        let guard = ActiveGuard::new(&self.0.registry);
        self.0.registry.insert(shared.clone())?;
        tracing::debug!(target: "engineio::session", %transport, "a session was opened");
        counters.opened.one();
        Ok((shared, guard))
    }

    /// Closes a connection without a session.
    fn hang_up(&self, transport: MessageTransport) {
        let guard = ActiveGuard::new(&self.0.registry);
        transport.end(guard.config.linger, guard);
    }

    fn websocket(
        &self,
        upgraded: Upgraded,
        revision: Revision,
        b64: bool,
        compression: Option<Parameters>,
    ) -> Box<MessageTransport> {
        let config = &self.0.registry.config;
        let max_payload = config.session.max_payload;
        let max_fragments = config.max_fragments;
        let websocket =
            WebSocket::new(upgraded, revision, b64, max_payload, max_fragments, compression);
        Box::new(MessageTransport::WebSocket(websocket))
    }

    /// Accepts a WebSocket that wants to take over a polling session. The session decides after the
    /// WebSocket is connected. If it refuses, the WebSocket is closed then, as in Node.
    fn upgrade(
        &self,
        parts: &mut Parts,
        shared: Arc<Shared>,
        b64: bool,
        effects: &mut Effects,
    ) -> Result<Response<ResponseBody>, Refused> {
        let revision = shared.lock().session.revision();
        let Accepted { response, upgrade, compression } = accept(parts, &self.0.registry.config)?;
        let engine = self.clone();
        effects.upgrade = Some(Box::pin(async move {
            let upgraded = upgrade.await.ok()?;
            let websocket = engine.websocket(upgraded, revision, b64, compression);
            engine.start_upgrade(&shared, websocket);
            None
        }));
        Ok(response)
    }

    /// Offers a connection to the session that it names, as the probe of an upgrade. Closes it if
    /// the session refuses.
    fn start_upgrade(&self, shared: &Shared, transport: Box<MessageTransport>) {
        let refused = shared.with(|state| {
            let probe = Input::ProbeStarted(transport.kind());
            match state.session.handle_input(now(), probe) {
                Ok(()) => {
                    state.arriving = Some(transport);
                    None
                }
                Err(_) => Some(transport),
            }
        });
        if let Some(refused) = refused {
            self.0.registry.counters.probes_failed.one();
            self.hang_up(*refused);
        }
    }

    fn refuse(&self, parts: &Parts, refused: Refused) -> Response<ResponseBody> {
        let error = &refused.refusal;
        tracing::debug!(target: "engineio::engine", method = %parts.method, %error, "a request was refused");
        if let Some(hook) = &self.0.registry.config.hooks.connection_error {
            hook(&refused.to_connection_error(parts));
        }
        let retry_after = match refused.error {
            // Another node takes over at once.
            RequestError::ShuttingDown => Some("1"),
            RequestError::SessionLimit => Some("10"),
            _ => None,
        };
        let handshake_failed = refused.context == ErrorContext::TransportHandshakeError;
        let mut response = refusal(&self.0.registry.counters, refused);
        let headers = response.headers_mut();
        if handshake_failed && is_websocket(parts) && !has_supported_version(&parts.headers) {
            // RFC 6455 section 4.4.
            let version = header::HeaderValue::from_static(WEBSOCKET_VERSION);
            headers.insert(header::SEC_WEBSOCKET_VERSION, version);
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(seconds));
        }
        if retry_after.is_some() || wants_upgrade(parts) {
            // A load balancer may route the next connection to another node, and a WebSocket client
            // sends no further request on this one.
            close_connection(parts, &mut response);
        }
        response
    }
}

/// The effects of a request besides its response.
#[derive(Default)]
struct Effects {
    /// The session that must be closed if a hook panics.
    session: Option<Arc<Shared>>,
    /// Waits for an accepted WebSocket, and returns the future of the session that it opens. Dropped
    /// if a hook panics, because hyper hands over the connection whatever the response is.
    upgrade: Option<BoxFuture<Option<BoxFuture<()>>>>,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Waits for a WebSocket, frees the memory of the handshake, then runs the session. With 24 bytes,
/// it fits into a task of 128 bytes, which an async block does not.
enum Upgrade {
    Handshake(BoxFuture<Option<BoxFuture<()>>>),
    Session(BoxFuture<()>),
}

impl Future for Upgrade {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Handshake(handshake) => match ready!(handshake.as_mut().poll(cx)) {
                    Some(session) => *self = Self::Session(session),
                    None => return Poll::Ready(()),
                },
                Self::Session(session) => return session.as_mut().poll(cx),
            }
        }
    }
}

/// Runs a future that calls hooks of the application. Returns `None` if one panics. Borrows the
/// future, because the variables of an async function exist twice if they are moved.
async fn catch_panic<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

/// Adds `Connection: close` to a response, except on HTTP/2, which does not have this header.
fn close_connection(parts: &Parts, response: &mut Response<ResponseBody>) {
    if parts.version < Version::HTTP_2 {
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}

/// Returns whether the header hooks apply to a response. They do not apply to refusals.
fn accepts_header_hooks(response: &Response<ResponseBody>) -> bool {
    matches!(response.status(), StatusCode::OK | StatusCode::SWITCHING_PROTOCOLS)
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("path", &self.0.registry.config.path)
            .field("clients", &self.clients_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    /// The service boxes this and the engine. Allocations of more than 1032 bytes take several times
    /// as long with glibc.
    #[test]
    fn the_future_of_a_request_is_small() {
        let engine = Engine::new(EngineConfig::default(), |_| async {});
        let (mut parts, body) = Request::new(Full::<bytes::Bytes>::default()).into_parts();
        let mut body = Some(body);
        let head = size_of_val(&parts) + size_of_val(&body);
        let size = head + size_of_val(&engine.handle_parts(&mut parts, &mut body));
        assert!(size <= 976, "{size}");
    }
}
