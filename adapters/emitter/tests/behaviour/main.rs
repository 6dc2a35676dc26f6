//! What an emitter says, with nothing that carries it.

#![allow(clippy::unwrap_used)]

mod emitters_speak_as_nodes_do;
