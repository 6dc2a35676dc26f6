//! Connection state recovery: the state of a socket whose connection was lost, and the events it
//! may have missed.
//!
//! If the engine of a back-end has a log, the back-end provides a [`SessionStore`], and any node
//! can restore a session. Otherwise the server's `Log` holds the events of a namespace in the order
//! of delivery, and the sessions that can be recovered. The `Trail` of a socket records which of
//! those events the socket was sent. None of these types reads a clock.

mod compare_and_set;
mod handover;
mod log;
mod store;
mod trail;

pub use self::{
    handover::{Handover, HandoverRequest},
    store::{
        FormerNode, MAX_FORMER_NODES, MissedEvent, Offset, Page, PageSize, RefusedSession,
        SavedSession, SessionStore, TakeOutcome,
    },
};
// Serves the back-ends of this workspace.
#[doc(hidden)]
pub use self::{
    compare_and_set::{CompareAndSet, Found, StoredSession},
    store::encode_sessions,
};
// The server's own log, which no back-end needs.
#[doc(hidden)]
pub use self::{
    log::{Entry, Log, LogLimits, Resumed},
    trail::{Position, Session, Trail},
};
