//! The packets of Node's `socket.io-msgpack-parser`. Each packet is one binary message that
//! contains its binary values.
//!
//! Inside this crate, arguments are JSON with placeholders for every encoding. A msgpack packet is
//! translated in one pass when it arrives and when it is sent, so the code above is the same for
//! both encodings.

mod date;
mod packet;
mod read;
mod shape;
mod write;

pub(crate) use packet::{decode, encode};
