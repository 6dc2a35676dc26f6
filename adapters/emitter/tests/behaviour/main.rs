//! The messages of an emitter, recorded instead of sent.

#![allow(clippy::unwrap_used)]

mod emitter_messages_match_nodes;
