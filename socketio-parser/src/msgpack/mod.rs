//! msgpack, which Node uses for the packets of `socket.io-msgpack-parser` and for the messages of
//! its cluster adapters.
//!
//! `format.rs` reads and writes single values, for this crate and for adapters. The code is
//! our own because the meaning of extension 0 depends on the encoding of its length (`undefined`, a
//! date or a buffer), which libraries do not report.
//!
//! A packet is one binary message that contains its binary values. Inside this crate, arguments
//! are JSON with placeholders for every encoding. A msgpack packet is translated in one pass when
//! it arrives and when it is sent, so the code above is the same for both encodings.

mod format;
#[cfg(feature = "msgpack")]
mod from_json;
#[cfg(feature = "msgpack")]
mod packet;
#[cfg(feature = "msgpack")]
#[cfg(feature = "msgpack")]
mod to_json;

pub use self::format::{
    Head, Malformed, Reader, array, binary, float, map, signed, string, unsigned,
};
#[cfg(feature = "msgpack")]
pub(crate) use self::packet::{decode, encode};
