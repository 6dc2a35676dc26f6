//! What every cluster adapter of the Socket.IO server shares: who a broadcast is for, and what is kept for clients that
//! lost their connection.
//!
//! This crate does no I/O, reads no clock and draws no randomness. It knows rooms and flags, never sockets.
//!
//! ```
//! use socketio_adapter::Selection;
//!
//! let mut selection = Selection::default();
//! selection.to(["news", "sports"]);
//! selection.except("muted");
//! assert_eq!(selection.rooms.len(), 2);
//! ```

pub mod recovery;
mod selection;

pub use selection::{Flags, IntoRooms, Room, Selection};
