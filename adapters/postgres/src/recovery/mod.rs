//! Connection state recovery across nodes. A table holds the events of all namespaces in one order,
//! a second one the sessions. Notifications carry the offset of each event, so a node reads the
//! table only after its connection was lost.
//!
//! # Order
//!
//! A sequence alone does not order events: a transaction with a smaller number may become visible
//! after one with a larger number, and a reader that has passed the gap would miss it. Here a
//! statement takes an advisory lock before it takes its number, and PostgreSQL releases the lock
//! when the transaction is visible. The order of the numbers, of the commits and of the
//! notifications is therefore the same. The lock costs little, because PostgreSQL commits
//! transactions with notifications one after another anyway.
//!
//! The alternative is to read only below the oldest running transaction
//! (`pg_snapshot_xmin(pg_current_snapshot())`). A long transaction of any other program, such as a
//! migration, would then delay all events until its end.
//!
//! # Numbers
//!
//! A number is the time in microseconds at which the event was appended, or the successor of the
//! last number if the clock was set back. After a crash that lost the last events, or after a
//! failover to a server that never had them, no later event gets the number of a lost one.

mod log;
mod options;
mod store;

pub use self::options::EventLog;
pub(crate) use self::{
    log::{Log, Row},
    store::Sessions,
};
