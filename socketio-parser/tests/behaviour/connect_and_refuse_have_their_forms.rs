//! The packets that carry no events, in both protocols.

use crate::common;

use common::text;
use serde_json::{Value, json};
use socketio_parser::{
    EncodeError, Nsp, Protocol, RawJson, encode_connect, encode_connect_error, encode_disconnect,
};

const V4: Protocol = Protocol::V4;
const V5: Protocol = Protocol::V5;

#[test]
fn connect() {
    let connect = |protocol, nsp, payload: &Value| {
        encode_connect(protocol, &Nsp::unchecked(nsp), payload).map(|frames| text(&frames).0)
    };
    assert_eq!(connect(V5, "/", &Value::Null).unwrap(), "0");
    assert_eq!(connect(V5, "/a", &Value::Null).unwrap(), "0/a,");
    assert_eq!(connect(V5, "/a", &json!({ "sid": "x" })).unwrap(), r#"0/a,{"sid":"x"}"#);
    assert_eq!(connect(V4, "/", &json!({ "sid": "x" })).unwrap(), "0");
    assert_eq!(connect(V4, "/a", &json!({ "sid": "x" })).unwrap(), "0/a,");
    for payload in [json!([]), json!("x"), json!(1), json!(true)] {
        assert!(matches!(connect(V5, "/", &payload), Err(EncodeError::PayloadNotObject)));
    }
    let raw = RawJson::new(r#"{"token" : 1}"#).unwrap();
    let frames = encode_connect(V5, &Nsp::root(), &Some(raw)).unwrap();
    assert_eq!(text(&frames).0, r#"0{"token" : 1}"#);
    assert_eq!(text(&encode_connect(V5, &Nsp::root(), &None::<RawJson>).unwrap()).0, "0");
}

#[test]
fn connect_error() {
    let refuse = |protocol, nsp, data: &Value| {
        text(&encode_connect_error(protocol, &Nsp::unchecked(nsp), "say \"no\"", data).unwrap()).0
    };
    let data = json!({ "code": 1 });
    assert_eq!(refuse(V5, "/", &Value::Null), r#"4{"message":"say \"no\""}"#);
    assert_eq!(refuse(V5, "/a", &data), r#"4/a,{"message":"say \"no\"","data":{"code":1}}"#);
    assert_eq!(refuse(V4, "/", &Value::Null), r#"4"say \"no\"""#);
    assert_eq!(refuse(V4, "/a", &data), r#"4/a,{"code":1}"#);
}

#[test]
fn disconnect() {
    assert_eq!(text(&encode_disconnect(&Nsp::root())).0, "1");
    assert_eq!(text(&encode_disconnect(&Nsp::new("a").unwrap())).0, "1/a,");
}
