//! The behavior of the codec and of the session, one subject per file. All files form one program,
//! because linking a hundred programs takes longer than running them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic fails the test"
)]

mod a_decode_loop_always_consumes;
mod a_payload_is_as_long_as_announced;
mod a_small_message_does_not_pin_its_body;
mod a_webtransport_packet_is_refused_by_its_header;
mod announced_lengths_are_not_trusted;
mod arbitrary;
mod b64_forbids_binary_bodies;
mod base64_may_start_with_a_digit;
#[cfg(feature = "fuzzing")]
mod fuzz_bodies;
#[cfg(feature = "fuzzing")]
mod fuzz_node;
#[path = "../golden/mod.rs"]
mod golden;
mod golden_vectors;
mod harness;
mod malformed_input_is_an_error;
mod nothing_follows_an_error;
mod packets_round_trip;
mod pair;
mod payloads_round_trip;
mod session_abandoned_upgrades_are_reclaimed;
mod session_backpressure;
mod session_close;
mod session_concurrent_requests_are_refused;
mod session_counts_what_it_carries;
mod session_every_get_is_answered_while_upgrading;
mod session_failed_probe_leaves_the_session_alive;
mod session_first_ping_comes_once_and_not_at_once;
mod session_follows_the_reference_exchange;
mod session_heartbeat;
mod session_pongs_start_no_work;
mod session_runs_are_never_interleaved;
mod session_upgrade;
mod session_upgrade_between_message_transports;
mod v3_lengths_are_utf16_code_units;
mod websocket_messages_are_read_as_by_tungstenite;
mod webtransport_packets_survive_any_chunking;
mod world;
