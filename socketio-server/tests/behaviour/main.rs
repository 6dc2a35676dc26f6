//! The behavior of the server, one behavior per file. All tests are one program, because a hundred
//! programs take longer to link than to run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic fails the test"
)]

mod a_closed_namespace_leaves_the_cluster;
mod a_cluster_leaves_nothing_behind;
mod a_connection_without_a_namespace_is_closed;
mod a_disconnected_socket_handles_no_more_events;
mod a_disconnected_socket_is_freed;
mod a_disconnecting_socket_is_still_in_its_rooms;
mod a_failing_session_store_costs_only_the_session;
mod a_full_inbox_pauses_reading;
mod a_full_queue_refuses_and_ready_waits;
mod a_lost_session_is_recovered;
mod a_panic_affects_only_its_socket;
mod a_panicking_adapter_loses_one_message;
mod a_refused_connect_leaves_nothing_behind;
mod a_server_counts_events_and_clients;
mod a_shutdown_runs_every_disconnect_handler;
mod a_single_server_fetches_its_own_sockets;
mod a_slow_receiver_does_not_delay_its_room;
mod a_socket_keeps_data;
mod acks_are_resolved_once_or_fail;
mod acks_for_clients_that_read_are_never_dropped;
mod an_empty_room_list_selects_no_socket;
mod an_unreachable_engine_delays_no_client;
mod authenticated_sockets_do_not_count_against_the_address_limit;
mod broadcasts_collect_acks;
mod broadcasts_keep_each_senders_order;
mod broadcasts_of_other_nodes_are_recovered;
mod broadcasts_reach_the_selected_sockets;
mod clients_cannot_send_lifecycle_events;
mod closing_the_server_leaves_nothing_behind;
mod conformance_frames_match_byte_for_byte;
mod disconnect_reasons_match_node;
mod draining_the_server_ends_sockets_one_by_one;
mod dynamic_namespaces_come_and_go;
mod error_texts_stay_on_the_server;
mod examples_need_no_undeclared_crates;
mod extractors_provide_the_arguments_of_handlers;
mod failed_extractions_are_reported_and_acked;
mod handlers_are_tested_in_memory;
mod handlers_of_a_connection_are_bounded;
mod handlers_start_in_order;
mod idle_nodes_are_known_by_their_heartbeats;
mod listeners_are_removed_one_by_one;
mod listeners_run_once_or_for_every_event;
mod middlewares_of_a_socket_see_its_events;
mod middlewares_run_in_order_and_may_refuse;
mod missing_auth_is_an_empty_object;
mod msgpack_clients_are_served;
mod namespaces_are_limited_and_isolated;
mod no_lock_is_held_over_user_code;
mod older_clients_are_unaffected_by_recovery;
mod parents_act_on_all_children;
mod parents_guard_all_their_children;
mod polling_clients_get_the_same_service;
mod public_errors_reach_the_client;
mod recovered_clients_skip_the_middlewares;
mod recovery_under_load_loses_nothing;
mod reliable_events_outlive_their_connection;
#[cfg(feature = "metrics")]
#[path = "../../../engineio-server/tests/behaviour/support/reported.rs"]
mod reported;
mod returned_values_are_sent_as_acks;
mod running_handlers_outlive_their_socket;
mod server_side_events_start_in_order;
mod servers_in_memory_pass_the_adapter_conformance_suite;
mod sessions_are_restored_by_any_node;
mod sessions_are_taken_over;
mod sessions_survive_a_killed_node;
mod sessions_survive_failures_of_a_handover;
mod sessions_that_change_nodes_match_a_model;
mod sockets_are_managed_in_groups;
mod sockets_that_send_too_fast_lose_events;
mod support;
mod the_admin_ui_is_bounded;
mod the_compress_flag_controls_compression;
mod the_engines_log_defines_the_order;
mod the_javascript_client_is_served;
mod two_thousand_sockets_match_a_model;
mod typed_events_keep_their_contract;
mod unknown_or_expired_sessions_are_not_recovered;
mod v2_clients_are_served;
mod values_of_javascript_reach_their_handlers;
