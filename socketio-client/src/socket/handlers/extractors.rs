//! The extractors of each context.

use socketio_core::{DisconnectDescription, Extract, HandlerError, MaybeExtract, event_extractors};

use super::{ConnectErrorContext, Context, DisconnectContext, EventContext};
use crate::{
    error::{ConnectError, DisconnectReason},
    socket::{Ack, Socket},
};

event_extractors!(EventContext);

impl<C: Context> Extract<C> for Socket {
    fn extract(context: &mut C) -> Result<Self, HandlerError> {
        Ok(context.socket().clone())
    }
}

impl Extract<EventContext> for Ack {
    fn extract(context: &mut EventContext) -> Result<Self, HandlerError> {
        Ok(context.ack())
    }
}

impl Extract<ConnectErrorContext> for ConnectError {
    fn extract(context: &mut ConnectErrorContext) -> Result<Self, HandlerError> {
        Ok(context.error.clone())
    }
}

impl Extract<DisconnectContext> for DisconnectReason {
    fn extract(context: &mut DisconnectContext) -> Result<Self, HandlerError> {
        Ok(context.reason)
    }
}

impl Extract<DisconnectContext> for DisconnectDescription {
    fn extract(context: &mut DisconnectContext) -> Result<Self, HandlerError> {
        Self::maybe_extract(context)?.ok_or_else(|| "the disconnection has no description".into())
    }
}

impl MaybeExtract<DisconnectContext> for DisconnectDescription {
    fn maybe_extract(context: &mut DisconnectContext) -> Result<Option<Self>, HandlerError> {
        Ok(context.description().map(|text| Self(text.to_owned())))
    }
}
