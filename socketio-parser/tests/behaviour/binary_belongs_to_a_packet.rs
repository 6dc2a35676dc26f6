//! Binary is an error outside of a packet. Packets may be encoded while another one is.

use crate::common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use common::{args, text};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use socketio_parser::{
    Binary, Nsp, Protocol, Value, encode_connect, encode_connect_error, encode_event, value,
};

/// Returns a new buffer, because the same buffer would be attached once.
fn bytes() -> Binary {
    Binary(Bytes::from(b"x".to_vec()))
}

#[test]
fn outside_a_packet_binary_is_an_error() {
    assert!(serde_json::to_value(bytes()).is_err());
    assert!(serde_json::to_string(&value!([Bytes::new()])).is_err());
    assert!(serde_json::from_str::<Binary>(r#"{"_placeholder":true,"num":0}"#).is_err());
    assert!(encode_connect(Protocol::V5, &Nsp::root(), &value!({ "a": Bytes::new() })).is_err());
    assert!(encode_connect_error(Protocol::V5, &Nsp::root(), "no", &bytes()).is_err());
}

#[test]
fn in_a_packet_without_attachments_a_placeholder_is_an_object() {
    let object = r#"{"_placeholder":true,"num":0}"#;
    let args = args(&format!("2[\"e\",{object}]"), &[]);
    assert!(args.decode::<Binary>().is_err());
    assert!(matches!(args.decode::<Value>().unwrap(), Value::Object(_)));
    assert_eq!(serde_json::to_string(&args.decode::<Value>().unwrap()).unwrap(), object);
}

#[test]
fn objects_other_than_placeholders_are_not_binary() {
    let args = args(r#"51-["e",{"_placeholder":1,"num":0},{"num":0},[0],"x"]"#, &[b"x"]);
    assert!(args.decode::<(Binary,)>().is_err());
    let values = args.values().unwrap();
    assert!(values.iter().all(|value| value.as_binary().is_none()));
}

/// A value that emits another packet while it is serialized.
struct Nested;

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = encode_event(&Nsp::root(), None, "inner", &(bytes(), bytes())).unwrap();
        assert_eq!(text(&inner).1, 2);
        assert!(serde_json::to_string(&args("2[\"e\",1]", &[])).is_ok());
        bytes().serialize(serializer)
    }
}

#[test]
fn packets_within_packets_keep_their_attachments_apart() {
    let outer = encode_event(&Nsp::root(), None, "outer", &(bytes(), Nested, bytes())).unwrap();
    let placeholder = |num| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
    let list = [placeholder(0), placeholder(1), placeholder(2)].join(",");
    assert_eq!(text(&outer), (format!("53-[\"outer\",{list}]"), 3));
}

/// A value that decodes other arguments while it is deserialized.
#[derive(Debug, PartialEq)]
struct Inside(Binary);

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        let other = args(&format!("51-[\"e\",{placeholder}]"), &[b"other"]);
        assert_eq!(other.decode::<Binary>().unwrap().as_ref(), b"other");
        let plain = args(&format!("2[\"e\",{placeholder}]"), &[]);
        assert!(plain.decode::<Binary>().is_err());
        Binary::deserialize(deserializer).map(Self)
    }
}

#[test]
fn arguments_within_arguments_keep_their_attachments_apart() {
    let args = args(r#"51-["e",{"_placeholder":true,"num":0}]"#, &[b"x"]);
    assert_eq!(args.decode::<Inside>().unwrap(), Inside(bytes()));
}

struct Panics;

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("in a user's code");
    }
}

#[test]
fn a_panic_or_an_error_leaves_nothing_behind() {
    let emit = || encode_event(&Nsp::root(), None, "e", &(bytes(), Panics));
    assert!(catch_unwind(AssertUnwindSafe(emit)).is_err());
    assert!(serde_json::to_value(bytes()).is_err(), "a scope is still open");
    let keys_that_are_no_strings = std::collections::BTreeMap::from([(vec![1], bytes())]);
    assert!(encode_event(&Nsp::root(), None, "e", &(bytes(), keys_that_are_no_strings)).is_err());
    let next = encode_event(&Nsp::root(), None, "e", &bytes()).unwrap();
    assert_eq!(text(&next).1, 1);
}
