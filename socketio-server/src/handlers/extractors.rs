//! The extractors: the arguments that a handler can take.

use std::any::type_name;

use serde::de::DeserializeOwned;
use socketio_parser::Args;

use crate::handlers::extract::{Extract, MaybeExtract};
use crate::{
    error::{DisconnectReason, HandlerError},
    handlers::context::Context,
    namespace::rule::Params,
    socket::{Socket, ack::Ack},
};

/// Extractor for the event's arguments, decoded. A tuple or array decodes the list of arguments,
/// any other type decodes the first argument.
///
/// In a connection handler or a middleware it decodes the data that the client sent with CONNECT,
/// as [`Auth`] does. `Option<Data<T>>` is `None` if the client sent no arguments.
///
/// An unpaired surrogate in a text becomes U+FFFD, and a number beyond an `f64` becomes infinity
/// (null in a dynamic value). An attachment decodes to [`Binary`](crate::Binary), to `Bytes`, or
/// inside a [`Value`](crate::Value). For a type that accepts no bytes, such as `serde_json::Value`,
/// an attachment is an error that says so.
///
/// If the arguments are of another type, the client gets "invalid arguments" and learns nothing
/// about the types. The namespace's error handler gets the details.
///
/// ```
/// use socketio_server::{Data, Server};
///
/// let io = Server::new();
/// io.on("one", |Data(text): Data<String>| async move { text });
/// io.on("two", |Data((a, b)): Data<(u32, Option<u32>)>| async move { a + b.unwrap_or(1) });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> Extract for Data<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        match &context.args {
            Some(args) => {
                let invalid = |error| HandlerError::not_extracted(error, "invalid arguments");
                Ok(Self(args.decode().map_err(invalid)?))
            }
            None => context.socket.auth().map(Self),
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> MaybeExtract for Data<T> {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        let present = match &context.args {
            Some(args) => !args.is_empty(),
            None => context.socket.0.auth.is_some(),
        };
        present.then(|| Self::extract(context)).transpose()
    }
}

/// Extractor for the data that the client sent with its CONNECT packet (`auth` in the JavaScript
/// client), decoded. If the client sent no data, `{}` is decoded, as in Node, so that a type whose
/// fields are all optional can be decoded. A type that cannot be decoded from `{}`, such as
/// `Option<T>` or `()`, is decoded from `null`. Take `Option<Auth<T>>` to find out whether the
/// client sent any data.
///
/// If the data is of another type, the client gets "invalid auth" and learns nothing about the
/// types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> Extract for Auth<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        context.socket.auth().map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> MaybeExtract for Auth<T> {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        context.socket.0.auth.is_some().then(|| Self::extract(context)).transpose()
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

impl<T: Clone + Send + Sync + 'static> Extract for State<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        let missing = || format!("no `{}` was given to `ServerConfig::state`", type_name::<T>());
        Self::maybe_extract(context)?.ok_or_else(|| missing().into())
    }
}

impl<T: Clone + Send + Sync + 'static> MaybeExtract for State<T> {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        Ok(context.socket.0.client.config.state.get().cloned().map(Self))
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
/// io.on_connection(|socket: Socket, Extension(User(name)): Extension<User>| async move {
///     socket.emit("welcome", &name)?;
///     Ok(())
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> Extract for Extension<T> {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        let missing = || {
            format!("no extension `{}` was kept (`EngineConfig::keep_extension`)", type_name::<T>())
        };
        Self::maybe_extract(context)?.ok_or_else(|| missing().into())
    }
}

impl<T: Clone + Send + Sync + 'static> MaybeExtract for Extension<T> {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        Ok(context.socket.handshake().extension().cloned().map(Self))
    }
}

/// Extractor for the name of the event, for a handler that serves several events.
///
/// ```
/// use socketio_server::{EventName, Server};
///
/// let io = Server::new();
/// for event in ["start", "stop"] {
///     io.on(event, |EventName(event): EventName| async move { format!("{event} it is") });
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventName(pub String);

/// The parameters of the namespace's name, as its parent's pattern defines them.
impl Extract for Params {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.socket.namespace().params())
    }
}

impl Extract for EventName {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?.ok_or_else(|| "the handler is not an event handler".into())
    }
}

impl MaybeExtract for EventName {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        Ok(context.args.as_ref().map(|args| Self(args.event().to_owned())))
    }
}

impl Extract for Socket {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.socket.clone())
    }
}

/// The event's arguments, not decoded.
impl Extract for Args {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?.ok_or_else(|| "this handler has no arguments".into())
    }
}

impl MaybeExtract for Args {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        Ok(context.args.clone())
    }
}

impl Extract for Ack {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Ok(context.ack())
    }
}

impl Extract for DisconnectReason {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?
            .ok_or_else(|| "the handler is not a disconnection handler".into())
    }
}

impl MaybeExtract for DisconnectReason {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        Ok(context.reason)
    }
}

/// Extractor for details about a disconnection, in addition to its [`DisconnectReason`]: how the
/// client broke the protocol. The details are missing for most disconnections.
///
/// ```
/// use socketio_server::{DisconnectDescription, DisconnectReason, Server};
///
/// let io = Server::new();
/// io.on_disconnect(|reason: DisconnectReason, more: Option<DisconnectDescription>| async move {
///     let more = more.map(|DisconnectDescription(text)| text).unwrap_or_default();
///     println!("{reason} {more}"); // "forced close invalid payload"
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisconnectDescription(pub String);

impl Extract for DisconnectDescription {
    fn extract(context: &mut Context) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?
            .ok_or_else(|| "the disconnection has no further details".into())
    }
}

impl MaybeExtract for DisconnectDescription {
    fn maybe_extract(context: &mut Context) -> Result<Option<Self>, HandlerError> {
        Ok(context.description.as_deref().map(|text| Self(text.to_owned())))
    }
}
