//! msgpack of dynamic values, as Node's adapters write it (notepack.io 3 and @msgpack/msgpack 2.8).
//!
//! Own code rather than a library: a few bytes of framing, but four dialects of dates, `undefined` and binary to be read,
//! which a general library either refuses or passes on as something that no client can be sent.

mod read;
mod write;

pub(crate) use read::from_bytes;
pub(crate) use write::to_bytes;
