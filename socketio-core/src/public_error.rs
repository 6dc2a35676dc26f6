//! Errors of the application that the other side may read.

use std::{error::Error, fmt};

use serde_json::Value;

/// An error type of the application that defines what the other side may read. Servers and clients
/// use the same trait.
///
/// A handler converts any error into its own with `?`. The other side gets "internal error" unless
/// the error's type implements this trait and is registered: with
/// `ServerConfig::public_error::<E>()` in a server, with `ClientConfig::public_error::<E>()` in a
/// client. An error that is wrapped in another one is not found. Only the outer type counts.
///
/// ```
/// use socketio_core::PublicError;
///
/// #[derive(Debug, thiserror::Error)]
/// enum OrderError {
///     #[error("order {0} is sold out")]
///     SoldOut(u32),
///     #[error(transparent)]
///     Database(#[from] std::io::Error),
/// }
///
/// impl PublicError for OrderError {
///     fn public_message(&self) -> Option<String> {
///         match self {
///             Self::SoldOut(_) => Some(self.to_string()),
///             Self::Database(_) => None, // "internal error"
///         }
///     }
///
///     fn public_data(&self) -> Option<serde_json::Value> {
///         match self {
///             Self::SoldOut(order) => Some(serde_json::json!({ "order": order })),
///             Self::Database(_) => None,
///         }
///     }
/// }
/// # assert_eq!(OrderError::SoldOut(1).public_message().unwrap(), "order 1 is sold out");
/// ```
pub trait PublicError: Error + Send + Sync + 'static {
    /// Returns the message for the other side. `None` sends "internal error" and no data.
    fn public_message(&self) -> Option<String>;

    /// Returns data for the other side, which is sent beside the message (default none).
    fn public_data(&self) -> Option<Value> {
        None
    }
}

/// The parts of an error that the other side may read.
#[derive(Clone, Debug, PartialEq)]
#[doc(hidden)]
pub struct PublicPart {
    /// The message.
    pub message: String,
    /// The data beside the message.
    pub data: Option<Value>,
}

/// The error types that were registered as public.
#[derive(Clone, Default)]
#[doc(hidden)]
pub struct PublicErrors(Vec<FindPublicPart>);

/// Returns the public part of an error if it is of one type.
type FindPublicPart = fn(&(dyn Error + Send + Sync + 'static)) -> Option<PublicPart>;

impl PublicErrors {
    /// Adds a type.
    pub fn add<E: PublicError>(&mut self) {
        self.0.push(|error| {
            let error = error.downcast_ref::<E>()?;
            let message = error.public_message()?;
            Some(PublicPart { message, data: error.public_data() })
        });
    }

    /// Returns the public part of an error, if its type is registered and defines one.
    pub fn find(&self, error: &(dyn Error + Send + Sync + 'static)) -> Option<PublicPart> {
        self.0.iter().find_map(|find| find(error))
    }
}

impl fmt::Debug for PublicErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicErrors").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_is_public_if_its_type_was_registered_and_says_so() {
        #[derive(Debug, thiserror::Error)]
        #[error("mine: {0:?}")]
        struct Mine(Option<u32>);
        impl PublicError for Mine {
            fn public_message(&self) -> Option<String> {
                self.0.map(|n| format!("number {n}"))
            }
            fn public_data(&self) -> Option<Value> {
                Some(json!(1))
            }
        }
        let mut errors = PublicErrors::default();
        assert_eq!(errors.find(&Mine(Some(1))), None, "not registered");
        errors.add::<Mine>();
        let part = PublicPart { message: "number 1".into(), data: Some(json!(1)) };
        assert_eq!(errors.find(&Mine(Some(1))), Some(part));
        assert_eq!(errors.find(&Mine(None)), None);
        assert_eq!(errors.find(&std::io::Error::other("x")), None);
    }
}
