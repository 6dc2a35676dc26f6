//! The traits of a handler's arguments.

use crate::HandlerError;

/// An argument of a handler. `C` is the context of the handler, which differs by kind: event
/// handlers, for example, have another context than disconnection handlers. An argument that the
/// context does not contain is therefore a compile error.
///
/// Implement it for your own types, for one context or for all of them. If an extraction fails, the
/// handler does not run. The error is reported, and is sent to the other side if the other side
/// waits for an ack. To handle the failure in the handler, take `Result<X, HandlerError>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler that is called with `{C}`",
    label = "an argument of this handler is not an extractor",
    note = "the documentation of `{C}` lists the extractors; `Result<X, HandlerError>` of each works too, and `Option<X>` if it may be missing",
    note = "extractors are passed by value: `Socket`, not `&Socket`"
)]
pub trait Extract<C>: Sized + Send + 'static {
    /// Extracts the argument from the context.
    ///
    /// # Errors
    ///
    /// Returns an error if the context has no such value, or if the value is of another type.
    fn extract(context: &mut C) -> Result<Self, HandlerError>;
}

/// An argument that may be missing. `Option<Self>` is then an argument of a handler too.
///
/// `None` means that the value is missing. A value of another type is an error, as without the
/// `Option`.
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` cannot be an argument of a handler that is called with `{C}`",
    label = "an argument of this handler is never missing",
    note = "take `{Self}` without `Option` if it is an extractor: it is never missing"
)]
pub trait MaybeExtract<C>: Extract<C> {
    /// Extracts the argument, if it is there.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is of another type.
    fn maybe_extract(context: &mut C) -> Result<Option<Self>, HandlerError>;
}

impl<C, X: MaybeExtract<C>> Extract<C> for Option<X> {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        X::maybe_extract(context)
    }
}

impl<C, X: Extract<C>> Extract<C> for Result<X, HandlerError> {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        Ok(X::extract(context))
    }
}
