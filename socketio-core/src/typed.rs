//! The methods of emitters for typed events.

/// Declares `emit_event` and, if an ack can be awaited, `emit_event_with_ack`, beside `emit` and
/// `emit_with_ack` of the same type. Each of them takes its documentation from the declaration.
///
/// The declaration names the receiver and the type of the result, in which `R` is the type of an
/// ack.
#[doc(hidden)]
#[macro_export]
macro_rules! typed_emit {
    ($(#[$emit:meta])* fn emit_event(&$this:ident) -> $sent:ty; $($ack:tt)*) => {
        $crate::typed_emit!(@emit [$(#[$emit])*] [&$this] $this $sent);
        $crate::typed_emit!(@ack [&$this] $this $($ack)*);
    };
    ($(#[$emit:meta])* fn emit_event($this:ident) -> $sent:ty; $($ack:tt)*) => {
        $crate::typed_emit!(@emit [$(#[$emit])*] [$this] $this $sent);
        $crate::typed_emit!(@ack [$this] $this $($ack)*);
    };
    (@emit [$($docs:tt)*] [$($receiver:tt)*] $this:ident $sent:ty) => {
        $($docs)*
        pub fn emit_event<A: $crate::Serialize, R>(
            $($receiver)*,
            event: $crate::Event<A, R>,
            args: &A,
        ) -> $sent {
            $this.emit(event.name(), args)
        }
    };
    (@ack [$($receiver:tt)*] $this:ident) => {};
    (@ack [$($receiver:tt)*] $this:ident
        $(#[$docs:meta])* async fn emit_event_with_ack() -> $result:ty;
    ) => {
        $(#[$docs])*
        pub async fn emit_event_with_ack<A: $crate::Serialize, R: $crate::DeserializeOwned>(
            $($receiver)*,
            event: $crate::Event<A, R>,
            args: &A,
        ) -> $result {
            $this.emit_with_ack(event.name(), args).await
        }
    };
}
