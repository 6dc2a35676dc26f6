//! Calls the listeners of outgoing events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use engineio_parser::Frames;
use socketio_parser::{Args, ByteString, Content, Decoder, Limits, Parser};

use crate::model::NamespaceSlot;

/// Calls the listeners of an outgoing event. They receive the arguments as the server does, decoded
/// from the frames that are sent.
pub(crate) fn notify_listeners(slot: &NamespaceSlot, frames: &Frames) {
    let Some(args) = read(slot.parser, frames) else { return };
    for listener in slot.outgoing().iter() {
        if catch_unwind(AssertUnwindSafe(|| listener(&args))).is_err() {
            tracing::error!(target: "socketio::client", "a listener of outgoing events panicked");
        }
    }
}

fn read(parser: Parser, frames: &Frames) -> Option<Args> {
    // No limits, because these frames come from this client.
    let limits = Limits::default().max_attachments(usize::MAX).max_attachment_bytes(usize::MAX);
    let mut decoder = Decoder::new(&limits).with_parser(parser);
    let mut packet = None;
    for frame in frames.iter() {
        let payload = frame.payload();
        let decoded = if frame.is_binary() {
            decoder.decode_binary(payload)
        } else {
            decoder.decode_text(ByteString::try_from(payload.slice(1.min(payload.len())..)).ok()?)
        };
        packet = decoded.ok()?;
    }
    match packet?.content {
        Content::Event { args, .. } => Some(args),
        _ => None,
    }
}
