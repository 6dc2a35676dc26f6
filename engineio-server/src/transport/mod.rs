//! The movers of bytes, one per transport.

pub(crate) mod jsonp;
pub(crate) mod polling;
pub(crate) mod websocket;
