//! Connection state recovery: what is kept of a socket whose connection was lost, and of the events it may have missed.
//!
//! [`SessionStore`] is what a back-end offers whose engine has a log: then any node restores a session. Without one,
//! [`Log`] keeps the events of a namespace in the order in which they were delivered, and the sessions that may come
//! back. [`Trail`] says of one socket which of those events it was given. Neither reads a clock.

mod log;
mod session;
mod store;
mod trail;

pub use self::{
    log::{Entry, Log, LogLimits, Resumed},
    session::Session,
    store::{Missed, Offset, Page, PageSize, SavedSession, SessionStore},
    trail::{Position, Trail},
};
