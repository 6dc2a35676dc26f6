//! What the engine does, one behaviour in each file. They are one program because a hundred take longer to link than to run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

mod a_body_beyond_max_payload_gets_413;
mod a_client_that_takes_text_only_gets_base64;
mod a_connection_takes_turns;
mod a_cookie_names_the_session_on_polling;
mod a_handshake_has_exactly_nodes_keys;
mod a_late_application_keeps_its_client;
mod a_malformed_frame_is_answered_with_its_close_code;
mod a_paused_client_is_watched;
mod a_paused_connection_reads_nothing;
mod a_reader_of_answers_gets_them_all;
mod a_refused_request_is_told_to_the_application;
mod a_response_that_nobody_reads_is_dropped;
mod a_second_poll_closes_the_session;
mod a_second_push_closes_the_session;
mod a_session_closes_from_either_side_on_polling;
mod a_slow_application_holds_pushes_back;
mod a_slow_or_huge_head_is_refused;
mod a_slow_receiver_meets_a_full_queue;
mod a_vanished_client_leaves_nothing_behind;
mod a_websocket_closes_from_either_side;
mod a_websocket_echoes;
mod a_websocket_inside_http2_echoes;
mod an_abandoned_upgrade_is_reclaimed;
mod an_aborted_request_closes_the_session;
mod an_address_has_so_many_sessions;
mod an_application_may_name_its_sessions;
mod an_engine_counts_what_happens;
mod an_engine_serves_inside_other_servers;
mod an_initial_packet_comes_with_the_open_packet;
mod an_octet_stream_is_refused_and_answered;
mod an_upgrade_switches_to_websocket;
mod closing_the_engine_ends_every_session;
mod draining_spreads_the_ends_of_sessions;
mod garbage_closes_the_session;
mod header_hooks_change_responses;
mod hooks_that_panic_leave_nothing;
mod http2_carries_polling;
mod http2_connections_are_bounded;
mod messages_are_compressed_where_it_is_agreed;
mod no_compression_context_is_kept;
mod nothing_is_lost_across_an_upgrade;
mod old_browsers_poll_by_scripts;
mod pages_of_other_origins_need_cors;
mod pings_are_answered_within_bounds;
mod polling_and_websockets_travel_over_tls;
mod polling_responses_are_compressed;
mod requests_are_refused_with_numbered_errors;
mod revision_3_binary_frames_have_a_type_byte;
mod revision_3_clients_ping;
mod revision_3_is_refused_unless_allowed;
mod revision_3_payloads_have_lengths;
mod sessions_are_limited;
mod several_packets_travel_in_one_body;
mod support;
mod the_application_decides_who_opens_a_session;
mod the_server_pings_and_waits_for_the_pong;

#[cfg(feature = "http2")]
#[path = "support/http2.rs"]
mod http2;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
mod tls;
