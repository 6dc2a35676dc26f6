//! `null` is an argument like any other. Only types without a value, such as `()`, are not.

use crate::common;

use std::marker::PhantomData;

use common::{args, event_text};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};
use socketio_parser::{Content, Decoder, Limits, Nsp, Parser, Value, encode_ack, value};

fn ack_text<T: Serialize + ?Sized>(args: &T) -> String {
    common::text(&encode_ack(&Nsp::root(), 7.into(), args).unwrap()).0
}

/// Returns the number of arguments that arrive over msgpack.
fn by_msgpack<T: Serialize + ?Sized>(args: &T) -> Vec<Value> {
    let frames = Parser::MsgPack.encode_event(&Nsp::root(), None, "e", args).unwrap();
    let mut decoder = Decoder::new(&Limits::default()).with_parser(Parser::MsgPack);
    let packet = decoder.decode_binary(frames.iter().next().unwrap().payload());
    match packet.unwrap().unwrap().content {
        Content::Event { args, .. } => args.values().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// One argument, null.
fn null<T: Serialize + ?Sized>(args: &T) {
    assert_eq!(event_text(args).unwrap(), "2[\"e\",null]");
    assert_eq!(ack_text(args), "37[null]");
    assert_eq!(by_msgpack(args), [Value::Null]);
}

/// No argument.
fn nothing<T: Serialize + ?Sized>(args: &T) {
    assert_eq!(event_text(args).unwrap(), "2[\"e\"]");
    assert_eq!(ack_text(args), "37[]");
    assert_eq!(by_msgpack(args), []);
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype<T>(T);

#[derive(Serialize)]
#[serde(untagged)]
enum Untagged {
    Nothing,
    #[expect(dead_code)]
    Text(String),
}

#[derive(Serialize)]
#[serde(transparent)]
struct Transparent<'a> {
    value: &'a Json,
}

struct ByHand(Json);

impl Serialize for ByHand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[test]
fn null_is_sent_as_an_argument() {
    null(&json!(null));
    null(&Json::Null);
    null(&Value::Null);
    null(&value!(null));
    null(&None::<u8>);
    null(&Some(()));
    null(&Some(Json::Null));
    null(&f64::INFINITY);
    null(&Box::new(Json::Null));
    null(&&Json::Null);
    null(&Newtype(Json::Null));
    null(&Newtype(Newtype(Value::Null)));
    null(&Transparent { value: &Json::Null });
    null(&ByHand(Json::Null));
    null(&Untagged::Nothing);
    null(&(Json::Null,));
    null(&((),));
    null(&[()]);
}

#[test]
fn types_without_a_value_are_no_arguments() {
    nothing(&());
    nothing(&Unit);
    nothing(&Newtype(()));
    nothing(&Newtype(Newtype(Unit)));
    nothing(&PhantomData::<u8>);
    nothing::<[Value; 0]>(&[]);
    nothing(&socketio_parser::args![]);
}

#[test]
fn null_is_received_as_an_argument() {
    for text in ["2[\"e\",null]", "31[null]"] {
        let args = args(text, &[]);
        assert_eq!(args.decode::<Json>().unwrap(), Json::Null);
        assert_eq!(args.decode::<Value>().unwrap(), Value::Null);
        assert_eq!(args.decode::<Option<u8>>().unwrap(), None);
        assert_eq!(args.decode::<(Json,)>().unwrap(), (Json::Null,));
        args.decode::<()>().unwrap();
        assert_eq!(args.values().unwrap(), [Value::Null]);
        assert!(args.decode::<u8>().is_err());
    }
    for text in ["2[\"e\"]", "31[]"] {
        let args = args(text, &[]);
        let error = args.decode::<Json>().unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid arguments: argument 1 is missing, expected any valid JSON value"
        );
        assert_eq!(args.decode::<Option<Json>>().unwrap(), None);
    }
}
