//! The packets of Node's `socket.io-msgpack-parser`: one binary message each, binary in its place.
//!
//! Inside this crate arguments are JSON with placeholders, whatever the syntax on the wire: a packet is translated where it
//! arrives and where it leaves. One pass each, and everything above is the same for both.

mod date;
mod packet;
mod read;
mod shape;
mod write;

pub(crate) use packet::{decode, encode};
