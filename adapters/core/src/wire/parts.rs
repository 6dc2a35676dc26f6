//! The fields of a message's data, from either encoding.

use std::time::Duration;

use serde_json::value::RawValue;
use socketio_parser::{Args, Object, Value, from_checked_json};

use crate::{
    error::MessageError,
    message::{Body, RequestId, SocketDetails},
    payload,
    selection::{Flags, Room, Selection},
};

/// The fields of the data. Missing fields are null.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) packet: Option<Packet<'a>>,
    pub(super) opts: Value,
    pub(super) rooms: Value,
    pub(super) close: Value,
    pub(super) request_id: Value,
    pub(super) sockets: Value,
    pub(super) client_count: Value,
}

/// The part of the data that a user sent. From JSON it stays text, which is well-formed.
pub(super) enum Packet<'a> {
    Raw(&'a RawValue),
    Tree(Value),
}

/// Longest timeout of a timer in Node.
const MAX_TIMEOUT_MS: f64 = i32::MAX as f64;

impl Parts<'_> {
    pub(super) fn body(self, number: u64) -> Result<Body, MessageError> {
        let request = || self.request_id.as_str().map(|id| RequestId::from(id.to_owned()));
        let wanted = || request().ok_or(MessageError::InvalidField("requestId"));
        let selection = || selection(&self.opts);
        let named = || match &self.rooms {
            Value::Null => Err(MessageError::InvalidField("rooms")),
            list => rooms(list, "rooms"),
        };
        Ok(match number {
            1 => Body::InitialHeartbeat,
            2 => Body::Heartbeat,
            3 => Body::Broadcast {
                selection: selection()?,
                request: request(),
                args: self
                    .packet
                    .and_then(Packet::broadcast)
                    .ok_or(MessageError::InvalidField("packet"))?,
            },
            4 => Body::SocketsJoin { selection: selection()?, rooms: named()? },
            5 => Body::SocketsLeave { selection: selection()?, rooms: named()? },
            6 => Body::DisconnectSockets {
                selection: selection()?,
                close: self.close == Value::Bool(true),
            },
            7 => Body::FetchSockets { selection: selection()?, request: wanted()? },
            8 => Body::FetchSocketsResponse { request: wanted()?, sockets: sockets(self.sockets)? },
            9 => Body::ServerSideEmit {
                request: request(),
                args: self
                    .packet
                    .and_then(Packet::event)
                    .ok_or(MessageError::InvalidField("packet"))?,
            },
            10 => Body::ServerSideEmitResponse { request: wanted()?, args: ack(self.packet)? },
            11 => Body::BroadcastClientCount {
                request: wanted()?,
                clients: integer(&self.client_count)
                    .ok_or(MessageError::InvalidField("clientCount"))?,
            },
            12 => Body::BroadcastAck { request: wanted()?, args: ack(self.packet)? },
            13 => Body::AdapterClose,
            unknown => return Err(MessageError::UnknownType(unknown)),
        })
    }
}

impl Packet<'_> {
    /// Returns the arguments of an EVENT packet.
    fn broadcast(self) -> Option<Args> {
        #[derive(serde::Deserialize)]
        struct Event<'a> {
            #[serde(rename = "type")]
            kind: u8,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        match self {
            Self::Raw(raw) => {
                let event: Event<'_> = from_checked_json(raw.get()).ok()?;
                if event.kind == EVENT { Packet::Raw(event.data).event() } else { None }
            }
            Self::Tree(Value::Object(mut packet)) => {
                let kind = packet.get("type").and_then(integer);
                let data = packet.remove("data")?;
                if kind == Some(EVENT.into()) { Packet::Tree(data).event() } else { None }
            }
            Self::Tree(_) => None,
        }
    }

    /// Parses a list that begins with the name of an event.
    fn event(self) -> Option<Args> {
        match self {
            Self::Raw(raw) => payload::parse_event(raw.get()).ok(),
            Self::Tree(Value::Array(values)) => payload::event_of_values(values),
            Self::Tree(_) => None,
        }
    }
}

/// The type of every packet that is broadcast, with or without binary.
pub(super) const EVENT: u8 = 2;

/// Returns an ack with one value, or without values.
fn ack(packet: Option<Packet<'_>>) -> Result<Args, MessageError> {
    let args = match packet {
        None => payload::ack_args(&()).ok(),
        Some(Packet::Raw(raw)) => payload::parse_ack(raw.get()).ok(),
        Some(Packet::Tree(value)) => payload::ack_args(&socketio_parser::Values(vec![value])).ok(),
    };
    args.ok_or(MessageError::InvalidField("packet"))
}

/// Parses the options. Missing options are an error, because they cannot mean all clients. Options
/// without rooms select all clients, as in Node's adapters.
fn selection(opts: &Value) -> Result<Selection, MessageError> {
    let null = Value::Null;
    let field = |name| opts.get(name).unwrap_or(&null);
    if !matches!(opts, Value::Object(_)) {
        return Err(MessageError::InvalidField("opts"));
    }
    let flags = field("flags");
    let flag = |name| match flags.get(name) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let timeout = match flags.get("timeout") {
        Some(Value::Number(ms)) => ms.as_f64().filter(|ms| *ms >= 0.0),
        _ => None,
    };
    let flags = Flags {
        volatile: flag("volatile") == Some(true),
        local: false,
        compress: flag("compress"),
        timeout: timeout.map(|ms| Duration::from_millis(ms.min(MAX_TIMEOUT_MS) as u64)),
    };
    Ok(Selection {
        rooms: rooms(field("rooms"), "opts")?,
        except: rooms(field("except"), "opts")?,
        flags,
        none: false,
    })
}

/// Parses rooms, which may be numbers in JavaScript.
fn rooms(value: &Value, field: &'static str) -> Result<Vec<Room>, MessageError> {
    let room = |value: &Value| match value {
        Value::String(name) => Ok(Room::from(name.as_str())),
        Value::Number(number) => Ok(Room::from(number.to_string())),
        _ => Err(MessageError::InvalidField(field)),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => {
            // Collecting into a `Result` would not reserve the exact capacity, and the list would
            // double as it grows.
            let mut rooms = Vec::with_capacity(list.len());
            for value in list {
                rooms.push(room(value)?);
            }
            Ok(rooms)
        }
        _ => Err(MessageError::InvalidField(field)),
    }
}

fn sockets(value: Value) -> Result<Vec<SocketDetails>, MessageError> {
    const FIELD: MessageError = MessageError::InvalidField("sockets");
    let socket = |value| {
        let Value::Object(mut socket) = value else { return Err(FIELD) };
        let mut take = |name| socket.remove(name).unwrap_or_default();
        let Value::String(id) = take("id") else { return Err(FIELD) };
        let rooms = rooms(&take("rooms"), "sockets")?;
        Ok(SocketDetails { id: id.into(), handshake: take("handshake"), rooms, data: take("data") })
    };
    let Value::Array(sockets) = value else { return Err(FIELD) };
    sockets.into_iter().map(socket).collect()
}

pub(super) fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

/// Returns the fields of a tree.
pub(super) fn of_tree(mut data: Object) -> Parts<'static> {
    let mut take = |name| data.remove(name);
    Parts {
        packet: take("packet").map(Packet::Tree),
        opts: take("opts").unwrap_or_default(),
        rooms: take("rooms").unwrap_or_default(),
        close: take("close").unwrap_or_default(),
        request_id: take("requestId").unwrap_or_default(),
        sockets: take("sockets").unwrap_or_default(),
        client_count: take("clientCount").unwrap_or_default(),
    }
}
