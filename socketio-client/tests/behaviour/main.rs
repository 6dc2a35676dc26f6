//! The behavior of the client against this project's server in memory, one subject per file. All
//! files are one program, because linking many programs takes longer than running them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

#[cfg(feature = "blocking")]
mod a_blocking_socket_serves_threads;
mod a_connection_opens_after_the_previous_one_has_ended;
mod a_full_inbox_pauses_reading;
mod a_full_queue_finds_room_again;
mod a_lost_session_is_recovered;
mod a_namespace_is_left_and_joined_again;
mod a_slow_client_learns_of_its_disconnection;
mod a_socket_io_2_server_is_detected;
mod acks_are_resolved_once_or_fail;
mod auth_is_requested_for_each_connection;
mod calls_end_with_their_runtime;
mod connect_waits_for_the_response;
mod connected_waits_while_the_client_tries;
mod dropping_the_handles_ends_everything;
mod events_wait_for_a_connection;
mod every_duration_is_accepted;
mod failed_handlers_fail_the_ack;
mod handlers_start_in_order;
mod handles_work_on_several_threads;
mod listeners_are_removed_one_by_one;
mod listeners_of_every_kind;
mod messages_have_one_limit_in_each_direction;
mod msgpack_servers_are_supported;
mod namespaces_share_a_connection;
mod no_connection_opens_after_a_disconnect;
mod packets_follow_the_protocol;
mod retried_events_are_sent_in_order;
#[cfg(feature = "webtransport")]
mod sessions_use_webtransport;
mod support;
mod the_client_reconnects;
mod the_next_event_can_be_awaited;
mod the_servers_last_events_arrive;
mod volatile_events_never_wait;
