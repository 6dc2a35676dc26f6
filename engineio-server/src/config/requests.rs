//! The options that concern single requests.

use std::{error::Error, future::Future, sync::Arc};

use http::{HeaderMap, request::Parts};

use super::{EngineConfig, cookie::Cookie, cors::Cors};
use crate::{
    error::{ConnectionError, Refusal},
    handshake::Handshake,
    shared::Message,
};

impl EngineConfig {
    /// Which pages of other origins may read the answers (default none). It also answers OPTIONS requests, before
    /// anything else is looked at.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// A cookie with the session id in the answer to a polling handshake (default none).
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// A message that is sent with the open packet of every session: the first that a client receives (default none). On
    /// polling both come in one response.
    pub fn initial_packet(mut self, message: impl Into<Message>) -> Self {
        self.initial_packet = Some(message.into().0);
        self
    }

    /// Decides whether a client may open a session, and what else its [`Handshake`] holds. Asked for handshakes only,
    /// after the transport and the method and before the protocol revision are looked at; later requests and the upgrade
    /// name a session that was let in. The client waits, and a future that it does not wait for is dropped.
    ///
    /// A refusal is answered with [`RequestError::Forbidden`](crate::RequestError::Forbidden): 403, code 4 and the
    /// message of the [`Refusal`].
    ///
    /// ```
    /// use engineio_server::{EngineConfig, Handshake, Refusal};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let config = EngineConfig::default().allow_request(|mut handshake: Handshake| async move {
    ///     let query = handshake.query();
    ///     let user = query.iter().find(|(name, _)| name == "user");
    ///     let Some((_, name)) = user else {
    ///         return Err(Refusal::new("who are you?"));
    ///     };
    ///     handshake.insert_extension(User(name.clone()));
    ///     Ok(handshake)
    /// });
    /// ```
    pub fn allow_request<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Handshake, Refusal>> + Send + 'static,
    {
        self.hooks.allow_request(hook);
        self
    }

    /// Makes the ids of sessions (default: 15 random bytes as 20 characters, see
    /// [`generate_sid`](crate::generate_sid)).
    ///
    /// An id is the only proof that a polling request belongs to a session: it must not be guessable. Sticky balancers and
    /// adapters may expect 20 characters. One that is empty, longer than 128 bytes, has other characters than letters,
    /// digits and `-._~`, or belongs to a session that is open, refuses the client like an error does, with code 3.
    ///
    /// ```
    /// use engineio_server::{EngineConfig, Handshake, generate_sid};
    ///
    /// let config = EngineConfig::default().generate_id(|_: &Handshake| async {
    ///     Ok::<_, std::io::Error>(format!("eu1-{}", generate_sid()?))
    /// });
    /// ```
    pub fn generate_id<F, Fut, E>(mut self, hook: F) -> Self
    where
        F: Fn(&Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.hooks.generate_id(hook);
        self
    }

    /// Called with the headers of the response that opens a session, on polling and WebSocket, before
    /// [`headers`](Self::headers).
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.initial_headers = Some(Arc::new(hook));
        self
    }

    /// Called with the headers of every polling response and of every response that accepts a WebSocket; not with those
    /// of refusals.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    /// use http::{HeaderValue, header::SERVER};
    ///
    /// let config = EngineConfig::default().headers(|headers, _request| {
    ///     headers.insert(SERVER, HeaderValue::from_static("mine"));
    /// });
    /// ```
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.headers = Some(Arc::new(hook));
        self
    }

    /// Called when a request is refused with one of the protocol's numbers, to tell why.
    ///
    /// ```
    /// use engineio_server::EngineConfig;
    ///
    /// let config = EngineConfig::default().connection_error(|error| {
    ///     eprintln!("{} {}: {} {}", error.request.uri, error.code, error.message, error.context.name());
    /// });
    /// ```
    pub fn connection_error(
        mut self,
        hook: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.connection_error = Some(Arc::new(hook));
        self
    }
}
