//! Calls the listeners for outgoing events.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use serde::Serialize;
use socketio_adapter::event_args;

use crate::{
    namespace::Namespace,
    socket::{Socket, inner::SocketInner},
};

/// Returns whether there is a listener for outgoing events.
pub(crate) fn has_listeners(namespace: &Namespace) -> bool {
    namespace.0.has_outgoing.load(Ordering::Relaxed)
}

/// Calls the catch-all listeners of the recipients. Costs one load if there are none.
pub(crate) fn notify<T: Serialize + ?Sized>(
    namespace: &Namespace,
    targets: &[Arc<SocketInner>],
    event: &str,
    args: &T,
) {
    if !has_listeners(namespace) || targets.is_empty() {
        return;
    }
    let Ok(args) = event_args(event, args) else { return };
    let table = namespace.table();
    for target in targets {
        let own = target.with_handlers(|own| own.outgoing.clone());
        let socket = Socket(target.clone());
        for listener in table.outgoing.iter().chain(own.iter()) {
            if catch_unwind(AssertUnwindSafe(|| (listener.handler)(&socket, &args))).is_err() {
                tracing::error!(target: "socketio::socket", "a listener for outgoing events panicked");
            }
        }
    }
}
