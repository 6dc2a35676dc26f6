//! Connection state recovery: what is kept of a socket whose connection was lost, and of the events it may have missed.
//!
//! [`Log`] keeps the events of a namespace in the order in which they were delivered, and the sessions that may come
//! back. [`Trail`] says of one socket which of those events it was given. Neither reads a clock.

mod log;
mod session;
mod trail;

pub use self::{
    log::{Entry, Log, LogLimits, Resumed},
    session::Session,
    trail::{Position, Trail},
};
