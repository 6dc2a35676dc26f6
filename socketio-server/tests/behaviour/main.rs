//! What the server does, one behaviour in each file. They are one program because a hundred take longer to link than to run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

mod a_cluster_leaves_nothing_behind;
mod a_connection_without_a_namespace_is_closed;
mod a_disconnected_socket_handles_no_more_events;
mod a_full_inbox_pauses_reading;
mod a_full_queue_refuses_and_ready_waits;
mod a_lost_session_is_recovered;
mod a_panic_concerns_its_socket_only;
mod a_refused_connect_leaves_nothing_behind;
mod a_server_counts_what_happens;
mod a_shutdown_runs_every_disconnect_handler;
mod a_slow_receiver_does_not_hold_a_room_up;
mod a_socket_is_freed_when_it_is_gone;
mod a_socket_keeps_data;
mod a_socket_that_sends_too_fast;
mod acks_are_resolved_once_or_fail;
mod an_engine_that_is_away_holds_nobody_up;
mod an_errors_text_stays_on_the_server;
mod broadcasts_collect_answers;
mod broadcasts_keep_each_senders_order;
mod broadcasts_of_other_nodes_are_recovered;
mod broadcasts_reach_whom_they_name;
mod closing_the_server_leaves_nothing_behind;
mod conformance_frames_match_byte_for_byte;
mod draining_the_server_ends_sockets_one_by_one;
mod dynamic_namespaces_come_and_go;
mod events_are_compressed_unless_told_not_to;
mod every_disconnection_has_nodes_reason;
mod failed_extractions_are_reported_and_answered;
mod handlers_are_tested_in_memory;
mod handlers_of_a_connection_are_bounded;
mod handlers_start_in_order;
mod handlers_take_what_they_name;
mod listeners_of_every_kind;
mod many_servers_act_as_one;
mod middlewares_of_a_socket_see_its_events;
mod middlewares_run_in_order_and_may_refuse;
mod msgpack_clients_are_served;
mod names_of_a_sockets_life_are_no_events;
mod namespaces_are_limited_and_isolated;
mod no_lock_is_held_over_user_code;
mod older_clients_take_no_harm_from_recovery;
mod only_what_is_known_is_recovered;
mod parents_act_on_all_children;
mod polling_clients_are_served_alike;
mod recovered_clients_pass_by_the_middlewares;
mod recovery_under_load_loses_nothing;
mod reliable_events_outlive_their_connection;
mod returned_values_answer;
mod rooms_are_still_there_in_disconnecting;
mod running_handlers_outlive_their_socket;
mod sessions_are_restored_by_any_node;
mod sockets_are_fetched_and_asked_alone;
mod sockets_are_managed_in_groups;
mod support;
mod the_javascript_client_is_served;
mod two_thousand_sockets_agree_with_a_model;
mod typed_events_keep_their_contract;
mod v2_clients_are_served;
mod who_is_let_in_counts_no_more_for_its_address;
