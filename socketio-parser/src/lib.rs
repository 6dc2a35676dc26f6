//! Socket.IO packets, arguments with binary, and the state machine of a connection.
//!
//! This crate implements the [Socket.IO protocol](https://socket.io/docs/v4/socket-io-protocol/) on
//! top of the messages of an Engine.IO session: revision 5 (Socket.IO v3 and v4) and revision 4 (v2
//! clients). It does no I/O, reads no clock,
//! draws no randomness and spawns no tasks. It can be used, tested and fuzzed with any runtime or
//! none.
//!
//! - [`encode_event`] and its siblings turn a value into [`Frames`](engineio_parser::Frames), which
//!   are serialized once and shared by all recipients. [`Binary`] anywhere in the value becomes an
//!   attachment without a copy.
//! - [`Decoder`] turns messages into [`Packet`]s. Their [`Args`] are validated, but decoded only
//!   when [`Args::decode`] is called with a type. [`Limits`] bound the cost of a peer.
//! - [`Parser`] selects the encoding of packets: JSON, or with the feature `msgpack` that of Node's
//!   `socket.io-msgpack-parser`.
//! - [`Value`], [`value!`] and [`args!`] are for values without a type of their own. [`Event`] is
//!   for contracts that both sides share.
//! - [`Connection`] holds the namespaces and the pending acks of one connection, for a server or a
//!   client. The module [`connection`] describes its run loop.
//!
//! Wherever arguments are passed or decoded, a tuple is a list of arguments, and any other type is
//! a single argument.
//!
//! ```
//! use engineio_parser::PacketData;
//! use serde::{Deserialize, Serialize};
//! use socketio_parser::{Binary, ByteString, Content, Decoder, Limits, Nsp, encode_event};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Upload { name: String, body: Binary }
//!
//! let upload = Upload { name: "a.png".into(), body: Binary("…".into()) };
//! let frames = encode_event(&Nsp::root(), None, "upload", &(&upload, true))?;
//!
//! // A transport would deliver a text (here without its Engine.IO digit) and the attachment.
//! let mut payloads = frames.iter().map(|frame| frame.payload());
//! let text = ByteString::try_from(payloads.next().unwrap().slice(1..))?;
//! assert_eq!(text, r#"51-["upload",{"name":"a.png","body":{"_placeholder":true,"num":0}},true]"#);
//!
//! let mut decoder = Decoder::new(&Limits::default());
//! assert!(decoder.decode_text(text)?.is_none(), "one attachment is missing");
//! let packet = decoder.decode_binary(payloads.next().unwrap())?.unwrap();
//! let Content::Event { args, .. } = packet.content else { panic!("not an event") };
//! assert_eq!(args.event(), "upload");
//! assert_eq!(args.decode::<(Upload, bool)>()?, (upload, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![warn(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod args;
mod binary;
pub mod connection;
#[cfg(feature = "contract")]
mod contract;
mod date;
mod decoder;
mod deserializer;
mod encoder;
mod error;
mod event;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json;
mod kind;
mod limits;
mod list;
mod macros;
#[doc(hidden)]
pub mod msgpack;
mod nsp;
mod object;
mod packet;
mod placeholders;
mod scan;
mod text;
mod value;

pub use args::Args;
pub use binary::Binary;
pub use bytes;
pub use bytestring::ByteString;
pub use connection::{Connection, Output};
#[cfg(feature = "contract")]
pub use contract::Contract;
pub use date::{javascript_date, javascript_time};
pub use decoder::Decoder;
#[doc(hidden)]
pub use decoder::{decode_event, is_event};
pub use encoder::{
    Parser, encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event,
};
pub use error::{AckRefused, ArgsError, DecodeError, EncodeError, Violation};
pub use event::{Event, is_reserved};
pub use failure::DecodeAckError;
pub use kind::PacketType;
pub use limits::Limits;
pub use nsp::{Nsp, NspError};
pub use object::{Object, ObjectIntoIter, ObjectIter};
#[doc(hidden)]
pub use packet::from_checked_json;
pub use packet::{AckId, Content, Packet, Protocol, RawJson, from_json};
pub use value::{Value, ValueIndex, Values};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
