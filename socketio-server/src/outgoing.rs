//! Who is told of what goes out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
};

use engineio_parser::Data;
use serde::Serialize;
use socketio_parser::{Args, Content, Decoder, Limits, Nsp, encode_event};

use crate::{
    error::HandlerError,
    model::{Namespace, Socket, SocketInner},
};

/// Arguments as the other end would receive them.
pub(crate) fn to_args<T: Serialize + ?Sized>(event: &str, args: &T) -> Result<Args, HandlerError> {
    let frames = encode_event(&Nsp::root(), None, event, args)?;
    let any = usize::MAX;
    let limits = Limits::default().max_attachments(any).max_attachment_bytes(any);
    let mut decoder = Decoder::new(&limits.max_event_name(any));
    for frame in frames.iter() {
        let decoded = match frame.to_packet().data {
            Data::Text(text) => decoder.decode_text(text),
            Data::Binary(data) => decoder.decode_binary(data),
        };
        if let Ok(Some(packet)) = decoded
            && let Content::Event { args, .. } = packet.content
        {
            return Ok(args);
        }
    }
    Err("nested more deeply than any client may send".into())
}

/// Whether anybody is told of what goes out.
pub(crate) fn is_told(namespace: &Namespace) -> bool {
    namespace.0.has_outgoing.load(Ordering::Relaxed)
}

/// Tells the catch-all listeners of the recipients. Costs one look where there are none.
pub(crate) fn tell<T: Serialize + ?Sized>(
    namespace: &Namespace,
    targets: &[Arc<SocketInner>],
    event: &str,
    args: &T,
) {
    if !is_told(namespace) || targets.is_empty() {
        return;
    }
    let Ok(args) = to_args(event, args) else { return };
    let shared = namespace.0.outgoing.read().unwrap_or_else(PoisonError::into_inner).clone();
    for target in targets {
        let own = target.own_outgoing();
        let socket = Socket(target.clone());
        for listener in shared.iter().chain(own.iter().flat_map(|own| own.iter())) {
            if catch_unwind(AssertUnwindSafe(|| listener(&socket, &args))).is_err() {
                tracing::error!(target: "socketio::socket", "a listener to outgoing events panicked");
            }
        }
    }
}
