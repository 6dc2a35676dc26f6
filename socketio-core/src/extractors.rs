//! The extractors that servers and clients have in common.

use serde::de::DeserializeOwned;
use socketio_parser::Args;

use crate::HandlerError;

/// Extractor for the event's arguments, decoded. A tuple or array decodes the list of arguments,
/// any other type decodes the first argument. `Option<Data<T>>` is `None` if there are no
/// arguments.
///
/// An unpaired surrogate in a text becomes U+FFFD, and a number beyond an `f64` becomes infinity
/// (null in a dynamic value). An attachment decodes to [`Binary`](socketio_parser::Binary), to
/// `Bytes`, or inside a [`Value`](socketio_parser::Value). For a type that accepts no bytes, such
/// as `serde_json::Value`, an attachment is an error that says so.
///
/// If the arguments are of another type, the other side gets the message "invalid arguments",
/// without details. The log, or a server's error handler, gets the details.
///
/// In a server's connection handler or middleware, it decodes the data that the client sent with
/// its CONNECT packet, as `Auth` does.
///
/// ```
/// # use socketio_core::Data;
/// let one = |Data(text): Data<String>| text;
/// let two = |Data((a, b)): Data<(u32, Option<u32>)>| a + b.unwrap_or(1);
/// // socket.on("one", one).on("two", two);
/// # assert_eq!((one(Data("a".into())), two(Data((1, None)))), ("a".to_owned(), 2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> Data<T> {
    /// Decodes the arguments of an event.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments are of another type.
    #[doc(hidden)]
    pub fn decode(args: &Args) -> Result<Self, HandlerError> {
        let invalid = |error| HandlerError::not_extracted(error, "invalid arguments");
        args.decode().map(Self).map_err(invalid)
    }
}

/// Extractor for the name of the event, for a handler of several events.
///
/// ```
/// # use socketio_core::EventName;
/// let log = |EventName(event): EventName| println!("{event}");
/// // socket.on_any(log);
/// # log(EventName("news".into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventName(pub String);

/// Extractor for details about a disconnection, such as how the other side broke the protocol, or
/// which request failed. Most disconnections have no details, so take an `Option`.
///
/// ```
/// # use socketio_core::DisconnectDescription;
/// let log = |details: Option<DisconnectDescription>| println!("{details:?}");
/// // socket.on_disconnect(log);
/// # log(None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisconnectDescription(pub String);

/// Implements the extractors of an event for contexts with a field `args`.
#[doc(hidden)]
#[macro_export]
macro_rules! event_extractors {
    ($($context:ty),*) => { $(
        impl<T> $crate::Extract<$context> for $crate::Data<T>
        where
            T: $crate::DeserializeOwned + Send + 'static,
        {
            fn extract(context: &mut $context) -> Result<Self, $crate::HandlerError> {
                Self::decode(&context.args)
            }
        }

        impl<T> $crate::MaybeExtract<$context> for $crate::Data<T>
        where
            T: $crate::DeserializeOwned + Send + 'static,
        {
            fn maybe_extract(
                context: &mut $context,
            ) -> Result<Option<Self>, $crate::HandlerError> {
                (!context.args.is_empty()).then(|| Self::decode(&context.args)).transpose()
            }
        }

        impl $crate::Extract<$context> for $crate::EventName {
            fn extract(context: &mut $context) -> Result<Self, $crate::HandlerError> {
                Ok(Self(context.args.event().to_owned()))
            }
        }

        /// The event's arguments, not decoded.
        impl $crate::Extract<$context> for $crate::Args {
            fn extract(context: &mut $context) -> Result<Self, $crate::HandlerError> {
                Ok(context.args.clone())
            }
        }
    )* };
}
