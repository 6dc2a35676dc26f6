//! msgpack of dynamic values, as Node's adapters write it (notepack.io 3 and @msgpack/msgpack 2.8).
//!
//! The code is our own and not a library. The encoding is simple, but there are four dialects of
//! dates, `undefined` and binary. A general library refuses these, or returns values that cannot be
//! sent to a client.

mod read;
mod write;

pub(crate) use read::from_bytes;
pub(crate) use write::to_bytes;
