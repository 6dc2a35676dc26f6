//! Typed event names.

use std::{fmt, marker::PhantomData};

/// The name of an event together with the types of its arguments and of its ack, in one constant
/// that sender and receiver share.
///
/// `Args` is the argument list as in [`encode_event`](crate::encode_event): a tuple for several
/// arguments, any other type for one. `Ack` is the argument list of the ack. `()` has no arguments.
///
/// ```
/// use socketio_parser::Event;
///
/// pub const SAY: Event<(String, u32), bool> = Event::new("say");
/// assert_eq!(SAY.name(), "say");
/// ```
pub struct Event<Args, Ack = ()> {
    name: &'static str,
    // A function type, so that the event is `Send`, `Sync` and `Copy` regardless of its arguments.
    types: PhantomData<fn(Args) -> Ack>,
}

impl<Args, Ack> Event<Args, Ack> {
    /// Creates an event with the name `name`. A reserved name is refused when the event is encoded.
    pub const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// Returns the name on the wire.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<Args, Ack> Clone for Event<Args, Ack> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Args, Ack> Copy for Event<Args, Ack> {}

impl<Args, Ack> fmt::Debug for Event<Args, Ack> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.name).finish()
    }
}

/// Names that the protocol reserves. Neither side may send events with these names.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Returns whether the encoder and the decoder refuse `name` as the name of an event. Reserved are
/// `connect`, `connect_error`, `disconnect`, `disconnecting`, `newListener` and `removeListener`.
#[inline]
pub fn is_reserved(name: &str) -> bool {
    matches!(name.as_bytes().first(), Some(b'c' | b'd' | b'n' | b'r')) && RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reserved_name_is_known() {
        assert!(RESERVED.iter().all(|name| is_reserved(name)));
        assert!(!is_reserved("connection") && !is_reserved("error") && !is_reserved(""));
    }

    #[test]
    fn an_event_is_copy_and_send_whatever_its_types() {
        fn check<T: Copy + Send + Sync>(_: T) {}
        struct NotSend(#[expect(dead_code)] *const u8);
        check(Event::<NotSend, NotSend>::new("x"));
    }
}
