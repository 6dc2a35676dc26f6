//! The behavior of the codec and the connection, one behavior per file. The files are one program,
//! because many programs take longer to link than to run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "to fail here is to fail the test"
)]

mod a_namespace_does_not_pin_its_packet;
mod agrees_with_the_node_parser;
mod an_event_named_by_a_huge_number_is_infinity;
mod arguments_are_a_tuple_or_one;
mod attachments_are_bytes;
mod binary_belongs_to_a_packet;
mod both_ends_in_memory;
mod common;
mod connect_and_refuse_have_their_forms;
mod connection_follows_the_protocol;
mod contracts_are_written_for_other_languages;
mod encoded_packets_are_decoded;
mod fuzz_bodies;
mod fuzz_node;
mod json_that_javascript_accepts_is_decoded;
mod limits_refuse_what_exceeds_them;
mod msgpack_agrees_with_the_node_parser;
mod msgpack_and_json_carry_the_same_values;
mod msgpack_is_bounded;
mod must_not_be_repeated;
mod null_is_an_argument;
mod one_buffer_is_attached_once;
mod received_arguments_are_emitted_unchanged;
