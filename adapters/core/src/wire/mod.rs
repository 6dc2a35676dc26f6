//! The two forms of a message on the wire, those of Node's cluster adapters.

mod json;
mod parts;
mod tree;

use bytes::Bytes;
use socketio_parser::{Nsp, Value, value};

use crate::{
    budget::Budget,
    error::MessageError,
    limits::ClusterLimits,
    message::{Body, Message, NodeId},
    msgpack,
};

/// A form of a message, or of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON text.
    Json,
    /// msgpack, which takes binary as well.
    MsgPack,
}

impl Message {
    /// As JSON: the fields `type`, `data`, `uid`, `nsp`.
    ///
    /// # Errors
    ///
    /// [`MessageError::Binary`] where binary is inside.
    pub fn to_json(&self) -> Result<String, MessageError> {
        json::message(self)
    }

    /// As msgpack, byte by byte what Node's adapters write.
    pub fn to_msgpack(&self) -> Bytes {
        let mut message = value!({ "type": self.body.number() });
        if let Value::Object(message) = &mut message {
            message.extend(tree::data(&self.body).map(|data| ("data".to_owned(), data)));
            message.insert("uid".into(), self.uid.as_str().into());
            message.insert("nsp".into(), self.nsp.as_str().into());
        }
        msgpack::to_bytes(&message)
    }

    /// As JSON, or as msgpack where binary is inside: what sharded Redis carries.
    pub fn encode(&self) -> Bytes {
        self.to_json().map_or_else(|_| self.to_msgpack(), Bytes::from)
    }

    /// Reads either form: JSON begins with `{`.
    ///
    /// ```
    /// use socketio_adapter::{Body, ClusterLimits, Message};
    ///
    /// let text = r#"{"type":2,"uid":"0a785282676f06c9","nsp":"/"}"#;
    /// let message = Message::decode(text.as_bytes(), &ClusterLimits::default())?;
    /// assert_eq!(message.body, Body::Heartbeat);
    /// assert_eq!(message.to_json()?, text);
    /// # Ok::<(), socketio_adapter::MessageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is not a message is a [`MessageError`], never a panic.
    pub fn decode(wire: &[u8], limits: &ClusterLimits) -> Result<Self, MessageError> {
        Self::read(wire, None, limits)
    }

    /// As [`decode`](Self::decode); what names no namespace belongs to `nsp`. Emitters of Node leave it to the channel.
    ///
    /// # Errors
    ///
    /// See [`decode`](Self::decode).
    pub fn decode_in(wire: &[u8], nsp: &Nsp, limits: &ClusterLimits) -> Result<Self, MessageError> {
        Self::read(wire, Some(nsp), limits)
    }

    fn read(
        wire: &[u8],
        otherwise: Option<&Nsp>,
        limits: &ClusterLimits,
    ) -> Result<Self, MessageError> {
        check(wire, limits)?;
        if wire.first() == Some(&b'{') {
            let text = str::from_utf8(wire).map_err(|_| MessageError::Malformed("not UTF-8"))?;
            return json::read_message(text, otherwise, Budget::new(limits));
        }
        let mut message = tree::object(msgpack::from_bytes(wire, limits)?)?;
        let number = message.get("type").and_then(tree::integer);
        let number = number.ok_or(MessageError::Field("type"))?;
        let uid = tree::text(&message, "uid").ok_or(MessageError::Field("uid"))?;
        let nsp = tree::text(&message, "nsp").map(Nsp::from).or_else(|| otherwise.cloned());
        let nsp = nsp.ok_or(MessageError::Field("nsp"))?;
        let data = message.shift_remove("data").unwrap_or_default();
        Ok(Self { uid: uid.into(), nsp, body: tree::read_body(number, data)? })
    }
}

impl Body {
    /// The data alone, in JSON, for back-ends that keep the rest in fields of their own. `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`MessageError::Binary`] where binary is inside.
    pub fn data_to_json(&self) -> Result<Option<String>, MessageError> {
        json::data(self)
    }

    /// The data alone, in msgpack. `None` where there is none.
    pub fn data_to_msgpack(&self) -> Option<Bytes> {
        tree::data(self).map(|data| msgpack::to_bytes(&data))
    }

    /// Reads what [`data_to_json`](Self::data_to_json) and [`data_to_msgpack`](Self::data_to_msgpack) write, of the type
    /// with this number.
    ///
    /// # Errors
    ///
    /// See [`Message::decode`].
    pub fn decode(
        number: u64,
        data: Option<(Format, &[u8])>,
        limits: &ClusterLimits,
    ) -> Result<Self, MessageError> {
        match data {
            None => tree::read_body(number, Value::Null),
            Some((format, data)) => {
                check(data, limits)?;
                match format {
                    Format::MsgPack => tree::read_body(number, msgpack::from_bytes(data, limits)?),
                    Format::Json => {
                        let text = str::from_utf8(data);
                        let text = text.map_err(|_| MessageError::Malformed("not UTF-8"))?;
                        json::read_body(number, text, Budget::new(limits))
                    }
                }
            }
        }
    }
}

impl Body {
    /// The data alone, as a tree, for back-ends whose messages have other envelopes. `None` where there is none.
    pub fn to_value(&self) -> Option<Value> {
        tree::data(self)
    }

    /// Reads what [`to_value`](Self::to_value) writes, of the type with this number.
    ///
    /// # Errors
    ///
    /// See [`Message::decode`].
    pub fn from_value(number: u64, data: Value) -> Result<Self, MessageError> {
        tree::read_body(number, data)
    }

    /// Whether binary is inside, for which JSON has no place.
    pub fn has_binary(&self) -> bool {
        tree::has_binary(self)
    }
}

impl Format {
    /// Writes a tree. Binary becomes `null` in JSON, see [`Body::has_binary`].
    pub fn write(self, value: &Value) -> Bytes {
        match self {
            Self::MsgPack => msgpack::to_bytes(value),
            Self::Json => json::write(value).into(),
        }
    }

    /// Reads a tree, of bounded size and depth.
    ///
    /// # Errors
    ///
    /// See [`Message::decode`].
    pub fn read(self, wire: &[u8], limits: &ClusterLimits) -> Result<Value, MessageError> {
        check(wire, limits)?;
        match self {
            Self::MsgPack => msgpack::from_bytes(wire, limits),
            Self::Json => {
                let text =
                    str::from_utf8(wire).map_err(|_| MessageError::Malformed("not UTF-8"))?;
                json::read(text, Budget::new(limits))
            }
        }
    }

    /// The form of what begins with these bytes: JSON objects begin with `{`, and nothing else that nodes say does.
    pub fn of(wire: &[u8]) -> Self {
        if wire.first() == Some(&b'{') { Self::Json } else { Self::MsgPack }
    }
}

impl NodeId {
    /// The form of the names that Node's adapters give themselves: 16 hexadecimal digits of a random number.
    pub fn from_random(number: u64) -> Self {
        format!("{number:016x}").into()
    }
}

fn check(wire: &[u8], limits: &ClusterLimits) -> Result<(), MessageError> {
    match (wire.len(), limits.get_max_message_bytes()) {
        (bytes, limit) if bytes > limit => Err(MessageError::TooLarge { bytes, limit }),
        _ => Ok(()),
    }
}
