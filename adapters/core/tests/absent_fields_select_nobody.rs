//! A message without a selection is refused in every encoding. The selection `{}` means all
//! clients, as in Node's adapters.
#![allow(clippy::unwrap_used, clippy::panic, reason = "to fail here is to fail the test")]

use bytes::Bytes;
use socketio_adapter::{Body, ClusterLimits, Format, Message, MessageError, Selection};
use socketio_parser::{Value, value};

/// The message types that act on a selection of sockets, with all fields except the selection.
fn selecting() -> Vec<(u64, Value)> {
    let event = || value!({ "type": 2, "data": ["x"] });
    vec![
        (3, value!({ "packet": event() })),
        (3, value!({ "packet": event(), "requestId": "r" })),
        (4, value!({ "rooms": ["a"] })),
        (5, value!({ "rooms": ["a"] })),
        (6, value!({ "close": true })),
        (7, value!({ "requestId": "r" })),
    ]
}

fn with(data: &Value, name: &str, field: Value) -> Value {
    let mut data = data.clone();
    if let Value::Object(members) = &mut data {
        members.insert(name.into(), field);
    }
    data
}

/// Decodes the message in both encodings, each as a whole and as its data alone.
fn decoded(number: u64, data: Option<Value>) -> Vec<Result<Body, MessageError>> {
    let limits = ClusterLimits::default();
    let mut message = value!({ "type": number, "uid": "1", "nsp": "/" });
    if let (Value::Object(message), Some(data)) = (&mut message, &data) {
        message.insert("data".into(), data.clone());
    }
    let whole = |format: Format| Message::decode(&format.write(&message), &limits);
    let mut all: Vec<_> =
        [Format::Json, Format::MsgPack].map(|it| whole(it).map(|it| it.body)).into();
    for format in [Format::Json, Format::MsgPack] {
        let wire: Option<Bytes> = data.as_ref().map(|data| format.write(data));
        all.push(Body::decode(number, wire.as_deref().map(|wire| (format, wire)), &limits));
    }
    all.push(Body::from_value(number, data.unwrap_or_default()));
    all
}

fn selection(body: Body) -> Selection {
    match body {
        Body::Broadcast { selection, .. }
        | Body::SocketsJoin { selection, .. }
        | Body::SocketsLeave { selection, .. }
        | Body::DisconnectSockets { selection, .. }
        | Body::FetchSockets { selection, .. } => selection,
        other => panic!("{other:?} selects nobody"),
    }
}

#[test]
fn a_message_without_options_is_refused_whatever_its_type_and_form() {
    for (number, data) in selecting() {
        let absent = [data.clone(), with(&data, "opts", Value::Null)];
        for data in absent.map(Some).into_iter().chain([None, Some(Value::Null), Some(value!({}))])
        {
            for result in decoded(number, data.clone()) {
                assert!(
                    matches!(result, Err(MessageError::InvalidField(_))),
                    "{number} with {data:?} is {result:?}"
                );
            }
        }
    }
}

#[test]
fn options_without_rooms_select_all_sockets_as_in_node() {
    let empty = [value!({}), value!({ "rooms": [] }), value!({ "rooms": null, "except": null })];
    for (number, data) in selecting() {
        for opts in empty.clone() {
            for result in decoded(number, Some(with(&data, "opts", opts.clone()))) {
                assert_eq!(selection(result.unwrap()), Selection::default(), "{number} {opts:?}");
            }
        }
    }
}

#[test]
fn joins_that_name_no_rooms_are_refused() {
    for number in [4, 5] {
        for data in [value!({ "opts": {} }), value!({ "opts": {}, "rooms": null })] {
            for result in decoded(number, Some(data.clone())) {
                assert!(
                    matches!(result, Err(MessageError::InvalidField("rooms"))),
                    "{number} with {data:?} is {result:?}"
                );
            }
        }
    }
}
