//! The transports, which send and receive packets.

pub(crate) mod jsonp;
pub(crate) mod polling;
pub(crate) mod websocket;
