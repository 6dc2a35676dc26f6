//! Calls the listeners for outgoing events.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
};

use serde::Serialize;
use socketio_adapter::event_args;

use crate::{
    namespace::Namespace,
    socket::{Socket, inner::SocketInner},
};

/// Returns whether there is a listener for outgoing events.
pub(crate) fn is_told(namespace: &Namespace) -> bool {
    namespace.0.has_outgoing.load(Ordering::Relaxed)
}

/// Calls the catch-all listeners of the recipients. Costs one load if there are none.
pub(crate) fn tell<T: Serialize + ?Sized>(
    namespace: &Namespace,
    targets: &[Arc<SocketInner>],
    event: &str,
    args: &T,
) {
    if !is_told(namespace) || targets.is_empty() {
        return;
    }
    let Ok(args) = event_args(event, args) else { return };
    let shared = namespace.0.outgoing.read().unwrap_or_else(PoisonError::into_inner).clone();
    for target in targets {
        let own = target.own_outgoing();
        let socket = Socket(target.clone());
        for listener in shared.iter().chain(own.iter().flat_map(|own| own.iter())) {
            if catch_unwind(AssertUnwindSafe(|| listener(&socket, &args))).is_err() {
                tracing::error!(target: "socketio::socket", "a listener for outgoing events panicked");
            }
        }
    }
}
