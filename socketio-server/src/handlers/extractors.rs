//! The extractors: the arguments that a handler can take.

use std::any::type_name;

use serde::de::DeserializeOwned;
use socketio_core::{
    Data, DisconnectDescription, Extract, HandlerError, MaybeExtract, event_extractors,
};

use socketio_parser::{ArgsError, RawJson};

use crate::{
    error::DisconnectReason,
    handlers::{
        ConnectContext, Context, DisconnectContext, EventContext, EventMiddlewareContext, Rewrite,
    },
    namespace::{cluster::ServerEvent, rule::Params},
    socket::{Socket, ack::Ack},
};

/// Decodes the data of a CONNECT packet as a type of the application. Missing data is decoded from
/// `{}`, as in Node, or else from `null`.
pub(crate) fn decode_auth<T: DeserializeOwned>(auth: Option<&RawJson>) -> Result<T, HandlerError> {
    let decoded = match auth {
        Some(auth) => auth.decode(),
        None => serde_json::from_str("{}")
            .or_else(|_| serde_json::from_str("null"))
            .map_err(ArgsError::from),
    };
    decoded.map_err(|error| HandlerError::not_extracted(error, "invalid auth"))
}

/// Returns the number of bytes that the server keeps of the data of a CONNECT packet.
pub(crate) fn auth_size(auth: Option<&RawJson>) -> usize {
    auth.map_or(0, |auth| auth.get().len())
}

/// Extractor for the data that the client sent with its CONNECT packet (`auth` in the JavaScript
/// client), decoded. The protocol allows only an object, so use a struct or a map. If the client
/// sent no data, `{}` is decoded, as in Node, so that a type whose
/// fields are all optional can be decoded. A type that cannot be decoded from `{}`, such as
/// `Option<T>` or `()`, is decoded from `null`. Take `Option<Auth<T>>` to find out whether the
/// client sent any data.
///
/// If the data is of another type, the client gets the message "invalid auth", without details.
///
/// ```
/// use serde::Deserialize;
/// use socketio_server::{Auth, HandlerError, Server};
///
/// #[derive(Deserialize)]
/// struct Credentials { token: String }
///
/// let io = Server::new();
/// io.use_(|Auth(credentials): Auth<Credentials>| async move {
///     if credentials.token == "secret" { Ok(()) } else { Err(HandlerError::public("not authorized")) }
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<C: Context, T: DeserializeOwned + Send + 'static> Extract<C> for Auth<T> {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        context.socket().auth().map(Self)
    }
}

impl<C: Context, T: DeserializeOwned + Send + 'static> MaybeExtract<C> for Auth<T> {
    fn maybe_extract(context: &mut C) -> Result<Option<Self>, HandlerError> {
        context.socket().0.auth.is_some().then(|| Self::extract(context)).transpose()
    }
}

/// Extractor for a value that all handlers of the server share, provided by
/// [`ServerConfig::state`](crate::ServerConfig::state). Each extraction clones the value, so use a
/// pool, a channel or an `Arc`.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use socketio_server::{Server, ServerConfig, State};
///
/// let visits = Arc::new(AtomicU64::new(0));
/// let io = Server::with_config(ServerConfig::default().state(visits));
/// io.on("visit", |State(visits): State<Arc<AtomicU64>>| async move {
///     visits.fetch_add(1, Ordering::Relaxed) + 1
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<C: Context, T: Clone + Send + Sync + 'static> Extract<C> for State<T> {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        let missing = || format!("no `{}` was given to `ServerConfig::state`", type_name::<T>());
        Self::maybe_extract(context)?.ok_or_else(|| missing().into())
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> MaybeExtract<C> for State<T> {
    fn maybe_extract(context: &mut C) -> Result<Option<Self>, HandlerError> {
        Ok(context.socket().0.client.config.state.get().cloned().map(Self))
    }
}

/// Extractor for an extension of the HTTP request that opened the connection, such as a user.
/// Either [`EngineConfig::allow_request`](crate::EngineConfig::allow_request) inserts it into the
/// [`Handshake`](crate::Handshake), or a tower layer in front of the server inserts it into the
/// request. An extension of a layer is kept if
/// [`EngineConfig::keep_extension`](crate::EngineConfig::keep_extension) names its type.
///
/// ```
/// use socketio_server::{Extension, Server, ServerConfig, Socket};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// let config = ServerConfig::default().engine(|engine| engine.keep_extension::<User>());
/// let io = Server::with_config(config);
/// io.on_connection(|socket: Socket, Extension(User(name)): Extension<User>| {
///     socket.emit("welcome", &name)?;
///     Ok(())
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<C: Context, T: Clone + Send + Sync + 'static> Extract<C> for Extension<T> {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        let missing = || {
            format!("no extension `{}` was kept (`EngineConfig::keep_extension`)", type_name::<T>())
        };
        Self::maybe_extract(context)?.ok_or_else(|| missing().into())
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> MaybeExtract<C> for Extension<T> {
    fn maybe_extract(context: &mut C) -> Result<Option<Self>, HandlerError> {
        Ok(context.socket().handshake().extension().cloned().map(Self))
    }
}

/// The parameters of the namespace's name, as its parent's pattern defines them.
impl<C: Context> Extract<C> for Params {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        Ok(context.socket().namespace().params())
    }
}

impl<C: Context> Extract<C> for Socket {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        Ok(context.socket().clone())
    }
}

event_extractors!(EventContext, EventMiddlewareContext, ServerEvent);

impl Extract<EventContext> for Ack {
    fn extract(context: &mut EventContext) -> Result<Self, HandlerError> {
        Ok(context.ack())
    }
}

impl Extract<EventMiddlewareContext> for Ack {
    fn extract(context: &mut EventMiddlewareContext) -> Result<Self, HandlerError> {
        let requested = context.requested.as_ref();
        Ok(Self(requested.map(|requested| requested.responder(context.socket.clone()))))
    }
}

impl Extract<EventMiddlewareContext> for Rewrite {
    fn extract(context: &mut EventMiddlewareContext) -> Result<Self, HandlerError> {
        Ok(context.rewrite.clone())
    }
}

/// The data of the client's CONNECT, as [`Auth`] extracts it.
impl<T: DeserializeOwned + Send + 'static> Extract<ConnectContext> for Data<T> {
    fn extract(context: &mut ConnectContext) -> Result<Self, HandlerError> {
        context.socket.auth().map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> MaybeExtract<ConnectContext> for Data<T> {
    fn maybe_extract(context: &mut ConnectContext) -> Result<Option<Self>, HandlerError> {
        context.socket.0.auth.is_some().then(|| Self::extract(context)).transpose()
    }
}

impl Extract<DisconnectContext> for DisconnectReason {
    fn extract(context: &mut DisconnectContext) -> Result<Self, HandlerError> {
        Ok(context.reason)
    }
}

impl Extract<DisconnectContext> for DisconnectDescription {
    fn extract(context: &mut DisconnectContext) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?
            .ok_or_else(|| "the disconnection has no further details".into())
    }
}

impl MaybeExtract<DisconnectContext> for DisconnectDescription {
    fn maybe_extract(context: &mut DisconnectContext) -> Result<Option<Self>, HandlerError> {
        Ok(context.description.as_deref().map(|text| Self(text.to_owned())))
    }
}

impl Extract<Self> for ServerEvent {
    fn extract(event: &mut Self) -> Result<Self, HandlerError> {
        Ok(event.clone())
    }
}
