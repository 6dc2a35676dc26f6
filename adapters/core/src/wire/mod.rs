//! The two encodings of a message, which are those of Node's cluster adapters.

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

/// An encoding of a message or of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON text.
    Json,
    /// msgpack, which can contain binary.
    MsgPack,
}

impl Message {
    /// Encodes the message as msgpack, in the same bytes as Node's adapters if it has no number.
    pub fn to_msgpack(&self) -> Bytes {
        let mut message = value!({ "type": self.body.type_number() });
        if let Value::Object(message) = &mut message {
            message.extend(self.body.to_value().map(|data| ("data".to_owned(), data)));
            message.insert("uid".into(), self.uid.as_str().into());
            message.insert("nsp".into(), self.nsp.as_str().into());
            message.extend(self.seq.map(|seq| ("seq".to_owned(), seq.into())));
        }
        msgpack::to_bytes(&message)
    }

    /// Encodes the message as JSON, or as msgpack if it contains binary. Redis sharded pub/sub uses
    /// this form.
    pub fn encode(&self) -> Bytes {
        self.to_json().map_or_else(|_| self.to_msgpack(), Bytes::from)
    }

    /// Decodes a message in either encoding. JSON begins with `{`.
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
    /// Returns a [`MessageError`] if the data is malformed. Never panics.
    pub fn decode(wire: &[u8], limits: &ClusterLimits) -> Result<Self, MessageError> {
        Self::read(wire, None, limits)
    }

    /// Like [`decode`](Self::decode), but a message without a namespace belongs to `nsp`. Node's
    /// emitters omit the namespace, because the channel implies it.
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
        limits.check_size(wire.len())?;
        if wire.first() == Some(&b'{') {
            let text = str::from_utf8(wire).map_err(|_| MessageError::Malformed("not UTF-8"))?;
            return json::read_message(text, otherwise, Budget::new(limits));
        }
        let mut message = tree::object(msgpack::from_bytes(wire, limits)?)?;
        let number = message.get("type").and_then(tree::integer);
        let number = number.ok_or(MessageError::InvalidField("type"))?;
        let uid = tree::text(&message, "uid");
        let nsp = tree::text(&message, "nsp")
            .map(|nsp| Nsp::unchecked(&nsp))
            .or_else(|| otherwise.cloned());
        let nsp = nsp.ok_or(MessageError::InvalidField("nsp"))?;
        let data = message.remove("data").unwrap_or_default();
        let body = Body::from_value(number, data)?;
        let seq = message.get("seq").and_then(tree::integer);
        Ok(Self { uid: tree::sender(uid, &body)?, nsp, body, seq })
    }
}

impl Body {
    /// Encodes the data alone as msgpack. Returns `None` if there is no data.
    pub fn data_to_msgpack(&self) -> Option<Bytes> {
        self.to_value().map(|data| msgpack::to_bytes(&data))
    }

    /// Decodes the data of a message of type `number`, as written by
    /// [`data_to_json`](Self::data_to_json) or [`data_to_msgpack`](Self::data_to_msgpack).
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
            None => Body::from_value(number, Value::Null),
            Some((format, data)) => {
                limits.check_size(data.len())?;
                match format {
                    Format::MsgPack => Body::from_value(number, msgpack::from_bytes(data, limits)?),
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

impl Format {
    /// Encodes a tree. In JSON, binary becomes `null`; see [`Body::has_binary`].
    pub fn write(self, value: &Value) -> Bytes {
        match self {
            Self::MsgPack => msgpack::to_bytes(value),
            Self::Json => json::write(value).into(),
        }
    }

    /// Decodes a tree of limited size and depth.
    ///
    /// # Errors
    ///
    /// See [`Message::decode`].
    pub fn read(self, wire: &[u8], limits: &ClusterLimits) -> Result<Value, MessageError> {
        limits.check_size(wire.len())?;
        match self {
            Self::MsgPack => msgpack::from_bytes(wire, limits),
            Self::Json => {
                let text =
                    str::from_utf8(wire).map_err(|_| MessageError::Malformed("not UTF-8"))?;
                json::read(text, Budget::new(limits))
            }
        }
    }

    /// Returns the encoding of data that begins with these bytes. Only JSON objects begin with `{`.
    pub fn of(wire: &[u8]) -> Self {
        if wire.first() == Some(&b'{') { Self::Json } else { Self::MsgPack }
    }
}

impl NodeId {
    /// Returns a name in the format of Node's adapters: 16 hexadecimal digits of a random number.
    pub fn from_random(number: u64) -> Self {
        format!("{number:016x}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapter::ClusterMember, payload::event_args, selection::Selection};

    #[test]
    fn a_node_finds_its_events_without_decoding_them() {
        let member = ClusterMember { nsp: Nsp::unchecked("/\"n"), uid: "1".into() };
        let message = |seq, volatile, compress| {
            let mut selection = Selection::default();
            selection.flags.volatile = volatile;
            selection.flags.compress = compress;
            // The text of the event looks like its end.
            let args = event_args("x", r#","uid":"1","nsp":"/\"n","seq":5}"#).unwrap();
            let body = Body::Broadcast { args, selection, request: None };
            let ClusterMember { uid, nsp } = member.clone();
            Message { uid, nsp, body, seq }
        };
        let found = |message: &Message| {
            let json = message.to_json().unwrap();
            let data = message.body.data_to_json().unwrap().unwrap();
            let volatile = Body::is_volatile_json(data.as_bytes());
            (Message::own_event(json.as_bytes(), &member), volatile)
        };
        for compress in [None, Some(true), Some(false)] {
            assert_eq!(found(&message(Some(17), false, compress)), (Some(17), Some(false)));
            assert_eq!(found(&message(Some(17), true, compress)), (None, Some(true)));
            assert_eq!(found(&message(None, false, compress)), (None, Some(false)));
        }
        let own = message(Some(u64::MAX), false, None);
        assert_eq!(found(&own).0, Some(u64::MAX));
        assert_eq!(found(&Message { uid: "2".into(), ..own.clone() }).0, None);
        assert_eq!(found(&Message { nsp: Nsp::root(), ..own.clone() }).0, None);
        let json = own.to_json().unwrap();
        for end in 0..json.len() {
            assert_eq!(Message::own_event(&json.as_bytes()[..end], &member), None);
        }
        let too_large = json.replace(&u64::MAX.to_string(), "18446744073709551616");
        assert_eq!(Message::own_event(too_large.as_bytes(), &member), None);
    }
}
