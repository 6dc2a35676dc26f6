//! What the client does, against our own server in memory, one behaviour in each file. They are one program because many take
//! longer to link than to run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

mod a_connection_is_opened_again;
mod a_full_inbox_pauses_reading;
mod a_full_queue_finds_room_again;
mod a_lost_session_is_recovered;
mod a_namespace_is_left_and_asked_for_again;
mod a_server_of_socket_io_2_is_told_apart;
mod a_slow_consumer_learns_of_the_end;
mod acks_are_resolved_once_or_fail;
mod auth_is_asked_for_anew;
mod connect_waits_for_the_answer;
mod dropping_the_handles_ends_everything;
mod events_wait_for_a_connection;
mod failed_handlers_refuse;
mod handlers_start_in_order;
mod listeners_of_every_kind;
mod lives_end_before_they_begin_again;
mod messages_have_one_limit_in_each_direction;
mod msgpack_servers_are_spoken_to;
mod namespaces_share_a_connection;
mod no_duration_is_too_long;
mod nothing_is_opened_against_the_users_will;
mod packets_are_those_of_the_protocol;
mod retried_events_are_sent_in_order;
mod support;
mod the_end_of_the_runtime_is_told;
mod the_servers_last_events_arrive;
mod threads_get_along;
mod volatile_events_never_wait;
