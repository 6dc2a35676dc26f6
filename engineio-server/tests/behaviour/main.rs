//! Tests of the engine's behavior, one behavior per file. All files form one program, because
//! linking a hundred programs takes longer than running them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

mod a_body_beyond_max_payload_gets_413;
mod a_busy_connection_yields_after_each_turn;
mod a_client_that_reads_gets_every_reply;
mod a_cookie_names_the_session_on_polling;
mod a_handshake_has_exactly_nodes_keys;
mod a_late_application_keeps_its_client;
mod a_machine_that_slept_pings_its_clients;
mod a_malformed_frame_is_answered_with_its_close_code;
mod a_panicking_hook_leaves_no_session;
mod a_paused_client_is_watched;
mod a_paused_connection_reads_nothing;
mod a_refused_request_is_reported_to_the_application;
mod a_second_poll_closes_the_session;
mod a_second_push_closes_the_session;
mod a_session_closes_from_either_side_on_polling;
mod a_slow_application_delays_pushes;
mod a_slow_or_huge_head_is_refused;
mod a_slow_receiver_has_a_bounded_queue;
mod a_text_only_client_gets_base64;
mod a_vanished_client_leaves_nothing_behind;
mod a_websocket_closes_from_either_side;
mod a_websocket_echoes;
mod a_websocket_inside_http2_echoes;
#[cfg(feature = "webtransport")]
mod a_websocket_is_upgraded_to_webtransport;
mod an_abandoned_upgrade_is_reclaimed;
mod an_aborted_request_closes_the_session;
mod an_application_may_generate_session_ids;
mod an_engine_counts_events;
mod an_engine_serves_inside_other_servers;
mod an_initial_packet_comes_with_the_open_packet;
mod an_octet_stream_is_refused_and_answered;
mod an_unread_response_is_dropped;
mod an_upgrade_switches_to_websocket;
mod closing_the_engine_ends_every_session;
mod draining_closes_sessions_one_after_another;
mod garbage_closes_the_session;
mod header_hooks_change_responses;
#[cfg(feature = "webtransport")]
mod hostile_webtransport_clients_are_refused;
mod http2_carries_polling;
mod http2_connections_are_bounded;
mod messages_are_compressed_if_negotiated;
mod no_compression_context_is_kept;
mod nothing_is_lost_across_an_upgrade;
mod old_browsers_poll_with_jsonp;
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
mod the_application_may_refuse_a_session;
mod the_server_pings_and_waits_for_the_pong;
mod unauthenticated_sessions_per_address_are_limited;
#[cfg(feature = "webtransport")]
mod webtransport_carries_sessions;

#[cfg(feature = "tls")]
#[path = "support/certificate.rs"]
mod certificate;
#[cfg(feature = "http2")]
#[path = "support/http2.rs"]
mod http2;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
mod tls;
#[cfg(feature = "webtransport")]
#[path = "support/webtransport.rs"]
mod webtransport;
