//! Socket.IO packets, arguments with binary inside, and the connection state machine.
//!
//! This crate implements the Socket.IO protocol, revision 5 (spoken by Socket.IO v3 and v4) and revision 4 (spoken by v2
//! clients), above the messages of an Engine.IO session. It never does I/O, never reads a clock, draws no randomness and
//! starts nothing: it can be used, tested and fuzzed by itself, on any runtime or none.
//!
//! - [`encode_event`] and its siblings turn a value into [`Frames`](engineio_parser::Frames): serialized once, shared by all
//!   recipients. [`Binary`] anywhere in the value becomes an attachment, without a copy.
//! - [`Decoder`] turns messages into [`Packet`]s, whose [`Args`] are validated, but not decoded before
//!   [`Args::decode`] is told a type. What a peer may cost is in [`Limits`].
//! - [`Parser`] is the syntax of packets: JSON, or with the feature `msgpack` that of Node's `socket.io-msgpack-parser`.
//! - [`Answer`] is what a handler may return, on either side.
//! - [`Value`], [`value!`] and [`args!`] are for values without a type of their own, [`Event`] for contracts that both
//!   sides share.
//! - [`Connection`] keeps the namespaces and the awaited acknowledgements of one connection, for a server and for a client.
//!   Its run loop is described in [`connection`].
//!
//! A tuple is a list of arguments, anything else is one argument. This rule holds wherever arguments are given or taken.
//!
//! ```
//! use engineio_parser::Data;
//! use serde::{Deserialize, Serialize};
//! use socketio_parser::{Binary, ByteString, Content, Decoder, Limits, Nsp, encode_event};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Upload { name: String, body: Binary }
//!
//! let upload = Upload { name: "a.png".into(), body: Binary("…".into()) };
//! let frames = encode_event(&Nsp::root(), None, "upload", &(&upload, true))?;
//!
//! // What a transport would deliver: a text (here without its Engine.IO digit), and the attachment.
//! let mut payloads = frames.iter().map(|frame| frame.payload());
//! let text = ByteString::try_from(payloads.next().unwrap().slice(1..))?;
//! assert_eq!(text, r#"51-["upload",{"name":"a.png","body":{"_placeholder":true,"num":0}},true]"#);
//!
//! let mut decoder = Decoder::new(&Limits::default());
//! assert!(decoder.decode_text(text)?.is_none(), "one attachment is due");
//! let packet = decoder.decode_binary(payloads.next().unwrap())?.unwrap();
//! let Content::Event { args, .. } = packet.content else { panic!("not an event") };
//! assert_eq!(args.event(), "upload");
//! assert_eq!(args.decode::<(Upload, bool)>()?, (upload, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod args;
#[cfg(feature = "asyncapi")]
mod asyncapi;
mod binary;
pub mod connection;
mod decoder;
mod deserializer;
mod encoder;
mod error;
mod event;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod kind;
mod limits;
mod list;
mod macros;
#[cfg(feature = "msgpack")]
mod msgpack;
mod nsp;
mod packet;
mod parser;
mod placeholders;
mod scan;
mod text;
mod value;

#[doc(hidden)]
pub use answer::Reply;
pub use answer::{Answer, IntoReply, Json, Outcome};
pub use args::Args;
#[cfg(feature = "asyncapi")]
pub use asyncapi::AsyncApi;
pub use binary::Binary;
pub use bytestring::ByteString;
pub use connection::{Connection, Output};
pub use decoder::Decoder;
pub use encoder::{
    encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event,
};
pub use error::{AckRefused, ArgsError, DecodeError, EncodeError, Violation};
pub use event::{Event, is_reserved};
pub use failure::{AnswerError, PublicError};
#[doc(hidden)]
pub use failure::{Failed, PublicErrors, PublicPart};
pub use kind::PacketType;
pub use limits::Limits;
pub use nsp::Nsp;
pub use packet::{AckId, Content, Packet, Protocol, RawJson, from_json};
pub use parser::Parser;
pub use value::{Object, Value, Values};
