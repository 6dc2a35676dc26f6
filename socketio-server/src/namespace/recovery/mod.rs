//! Connection state recovery. A client that lost its connection returns to its session, and gets the
//! events that it missed, each once and in order.
//!
//! ```text
//!            record_loss            claim               resume
//! connected ────────────► retained ───────► returning ──────────► connected
//!     │                     ▲ │                 │
//!     │ take_over, because  │ │ expired,        │ connection lost again: retained
//!     │ the client returned │ │ displaced       │ too many missed events: closed
//!     └─────────────────────┘ ▼                 ▼
//! ```
//!
//! A client may return before the server has noticed that its connection is lost. Its claim then
//! ends the previous connection, and takes the session as soon as the disconnection handlers have
//! started (`takeover.rs`). If the socket is on another node, its node stores the session
//! (`handover.rs`), and the claim takes it from the store.
//!
//! Where the events are kept decides the rest (`Delivery` in `namespace/delivery.rs`):
//!
//! - *In the log of this node* (`log.rs`). Events and sessions are in one [`RecoveryLog`]. Only this
//!   node can recover its sessions. Each socket has a trail: the last event it was sent, the first
//!   one it missed, and its room changes (`socket.rs`).
//! - *In the log of an engine* (`engine_log.rs`). Events are in the engine's log, and sessions in the
//!   store that all nodes share. Every node can recover them. The [`RecoveryLog`] then holds only the
//!   state of sessions that other nodes cannot know: typed data, reliable events, and the lease on
//!   the namespace. `session_transfer.rs` moves sessions to and from the store, and `catch_up.rs`
//!   joins missed events with live ones. `engine_delivery.rs` delivers events at their position in
//!   the log, or ahead of the log while the engine is in trouble (`ahead.rs`). With crash-safe
//!   sessions, `session_writer.rs` also writes the sessions of connected clients.
//!
//! # Invariants
//!
//! Each is held by the tests named below it. `cargo xtask tidy` checks that these exist.
//!
//! 1. *One order.* The lock of the log is held while an event gets its position and is queued for its
//!    recipients. What a client gets is therefore a subsequence of the log, whichever task sends.
//!    `recovery_loses_no_event_with_several_senders`,
//!    `broadcasts_of_other_nodes_are_recovered_once_and_in_order`,
//!    `an_event_that_could_not_be_logged_overtakes_no_earlier_event`,
//!    `a_refused_event_is_not_delivered_after_later_ones_that_a_client_has_read`
//! 2. *No user code and no waker under the lock.* Data of the application is dropped, and tasks are
//!    woken, after the lock is released.
//!    `destructors_of_handlers_may_call_anything`, `wakers_may_call_anything`
//! 3. *No gap.* A socket is a member, or its session is retained, or it is gone; each change is made
//!    under the lock. An event that finds it retained is kept for it. After the first event that a
//!    socket missed it is queued nothing, until it has caught up.
//!    `unread_events_of_the_lost_connection_are_sent_again`,
//!    `a_session_is_recovered_while_another_node_keeps_emitting`
//! 4. *Missed events come first.* A returning client gets the events it missed, then the response to
//!    its CONNECT, then live events.
//!    `missed_events_precede_the_connect_response`
//! 5. *Exactly once across nodes.* A returning socket is a member, and its events are held back,
//!    before the engine's log is read to its end. Events that were both read and delivered are
//!    recognized by their offset. Events that are delivered without the log are recognized by their
//!    sender's number, which the log returns, and clients report.
//!    `a_client_gets_each_event_once_on_a_node_that_lags_behind`,
//!    `an_event_that_a_client_got_when_it_returned_is_not_delivered_late`,
//!    `an_unconfirmed_event_that_a_client_got_when_it_returned_is_not_delivered_again`,
//!    `a_late_event_reaches_a_client_that_is_about_to_return`,
//!    `an_unconfirmed_event_that_a_client_got_on_another_node_is_not_delivered_again`,
//!    `an_unconfirmed_event_of_a_new_node_is_not_delivered_again`,
//!    `an_event_that_the_log_returned_late_is_not_repeated_on_another_node`,
//!    `events_that_a_client_got_without_the_log_are_not_repeated_on_another_node`,
//!    `recovery_loses_no_event_on_any_node`, `sessions_that_change_nodes_match_a_model`
//! 6. *A session is in one place.* Only one claim gets a session, and an interrupted transfer puts it
//!    back. A stored session with an owner is restored only if the owner hands it over or is gone.
//!    `two_claims_restore_a_session_once`, `two_claims_at_once_take_a_session_over_once`,
//!    `two_claims_for_the_session_of_a_killed_node_restore_it_once`,
//!    `a_claim_that_comes_second_leaves_the_session_in_the_store`,
//!    `a_session_stays_with_its_owner_if_the_owner_cannot_be_asked`,
//!    `a_node_that_was_slow_to_reply_is_asked_again`,
//!    `a_session_survives_the_loss_of_the_reply_to_its_handover`,
//!    `a_session_that_is_stored_while_its_node_is_asked_is_restored`,
//!    `a_session_survives_a_node_that_is_killed_while_it_claims_the_session`,
//!    `a_session_survives_a_client_that_vanishes_during_the_query`,
//!    `a_client_lost_during_the_query_may_claim_its_session_again`
//! 7. *All or nothing.* If some missed events are no longer stored, or exceed the client's queue, the
//!    client gets a new session.
//!    `a_session_that_missed_more_than_the_log_holds_is_not_recovered`,
//!    `a_client_that_missed_more_than_its_queue_holds_gets_a_new_session`
//! 8. *Only lost connections.* A session that either side ended deliberately is not recovered, and
//!    neither is one with another private id.
//!    `a_deliberate_disconnection_ends_the_session`, `a_wrong_private_id_or_offset_recovers_nothing`
//! 9. *A session does not open another namespace.* Only a session that is known to be of this
//!    namespace skips its middlewares.
//!    `a_session_survives_a_claim_for_another_namespace`,
//!    `a_session_without_a_namespace_passes_the_middlewares`,
//!    `a_session_without_a_namespace_passes_the_middlewares_after_each_loss`
//! 10. *Everything is limited and expires.* Events, bytes and sessions have limits, and a session that
//!     expired leaves nothing behind.
//!     `an_expired_session_is_freed_and_not_recovered`, `a_session_beyond_the_limit_is_not_recovered`,
//!     `an_address_asks_the_other_nodes_for_unknown_sessions_only_so_often`
//! 11. *An engine in trouble costs only the session.* Every call of the store has a deadline.
//!     `a_store_that_fails_to_find_a_session_costs_only_the_session`,
//!     `other_sockets_are_served_while_the_store_hangs`, `a_store_in_trouble_costs_only_the_session`
//! 12. *Returning ends the previous connection.* Its socket ends with "transport close", and its
//!     disconnection handlers start before the client is restored. A claim with another private id,
//!     or for another namespace, does not disturb the socket.
//!     `the_old_socket_ends_before_its_client_is_restored`,
//!     `a_session_stays_with_an_owner_that_is_slow_to_end_its_socket`,
//!     `a_client_that_switches_connections_a_hundred_times_loses_nothing`,
//!     `a_client_that_switches_nodes_a_hundred_times_loses_nothing`,
//!     `a_claim_for_another_namespace_leaves_the_client_connected`,
//!     `a_claim_with_another_private_id_leaves_the_client_connected`,
//!     `a_deliberate_disconnection_wins_against_a_claim`
//! 13. *The store follows the socket.* A node writes nothing about a connected socket after its
//!     session was stored without an owner, removed or handed over.
//!     `another_node_restores_the_session_of_a_killed_node`,
//!     `a_session_that_is_lost_while_it_is_written_has_no_owner`,
//!     `a_session_that_ends_deliberately_leaves_nothing_in_the_store`,
//!     `a_client_that_switches_crash_safe_nodes_a_hundred_times_loses_nothing`,
//!     `a_draining_node_stores_sessions_before_their_clients_leave`,
//!     `a_returning_client_displaces_its_socket_that_waits_for_a_middleware`
//! 14. *The latest owner wins.* The store refuses what an earlier owner of a session writes.
//!     `an_owner_that_the_bus_hides_does_not_overwrite_the_session_of_the_next_owner`

mod ahead;
mod catch_up;
mod claim;
mod engine_delivery;
mod engine_log;
mod handover;
mod log;
mod session_transfer;
mod session_writer;
mod socket;
mod takeover;

pub(crate) use ahead::Encode;
pub(crate) use claim::{Claim, ReturningSocket};
pub(crate) use engine_log::EngineLog;
pub(crate) use log::{RecoveryLog, SessionState};
pub(crate) use socket::Recoverable;

/// Runs a function when it is dropped. Until then it keeps a namespace from being removed, or rooms
/// from being given up.
#[derive(Default)]
pub(crate) struct Lease(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Lease {
    pub(crate) fn new(release: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(release)))
    }

    /// Hands the responsibility to the caller: the function is not run.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

/// The result of resuming a client's session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    Done,
    /// The connection was lost again.
    Lost,
    /// Some missed events are no longer stored, or they exceed the client's queue.
    Impossible,
}
