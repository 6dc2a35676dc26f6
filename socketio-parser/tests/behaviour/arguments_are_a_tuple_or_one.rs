//! A tuple is the argument list, and any other value is one argument. The rule is the same in both
//! directions.

use crate::common;

use std::collections::BTreeMap;

use common::{args, event_text};
use serde::{Deserialize, Serialize};
use socketio_parser::{Nsp, Value, Values, encode_ack, value};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(String, u8);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper<T>(T);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    One(u8),
    Two(u8, u8),
    Named { a: u8 },
}

/// Encodes, compares, and decodes again.
fn both<T>(value: T, list: &str)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let comma = if list.is_empty() { "" } else { "," };
    let text = event_text(&value).unwrap();
    assert_eq!(text, format!("2[\"e\"{comma}{list}]"));
    assert_eq!(args(&text, &[]).decode::<T>().unwrap(), value);
    let ack = common::text(&encode_ack(&Nsp::root(), 1.into(), &value).unwrap()).0;
    assert_eq!(ack, format!("31[{list}]"));
    assert_eq!(args(&ack, &[]).decode::<T>().unwrap(), value);
}

#[test]
fn tuples_and_arrays_are_lists_of_arguments() {
    both((1, "two".to_owned(), [3]), r#"1,"two",[3]"#);
    both((vec![1, 2],), "[1,2]");
    both([1, 2, 3], "1,2,3");
    both([(1, 2), (3, 4)], "[1,2],[3,4]");
    both(Pair("a".into(), 1), r#""a",1"#);
    both(Wrapper((1, 2)), "1,2");
    both((), "");
    both(Nothing, "");
    both(Values(vec![value!(1), value!([2]), Value::Null]), "1,[2],null");
    both(Values(vec![]), "");
}

#[test]
fn other_types_are_one_argument() {
    both("text".to_owned(), r#""text""#);
    both(vec![1, 2], "[1,2]");
    both(Vec::<u8>::new(), "[]");
    both(Point { x: 1, y: -2 }, r#"{"x":1,"y":-2}"#);
    both(BTreeMap::from([("k".to_owned(), 1)]), r#"{"k":1}"#);
    both(Some((1, 2)), "[1,2]");
    both(None::<u8>, "null");
    both(Wrapper("x".to_owned()), r#""x""#);
    both(Choice::Unit, r#""Unit""#);
    both(Choice::One(1), r#"{"One":1}"#);
    both(Choice::Two(1, 2), r#"{"Two":[1,2]}"#);
    both(Choice::Named { a: 1 }, r#"{"Named":{"a":1}}"#);
    both(value!({ "a": [1, { "b": null }] }), r#"{"a":[1,{"b":null}]}"#);
    both(
        (true, 1.5, 'c', i64::MIN, u64::MAX),
        "true,1.5,\"c\",-9223372036854775808,18446744073709551615",
    );
}

#[test]
fn empty_lists_leave_no_trace() {
    assert_eq!(event_text::<[u8; 0]>(&[]).unwrap(), "2[\"e\"]");
    let ack = encode_ack::<[u8; 0]>(&Nsp::root(), 1.into(), &[]).unwrap();
    assert_eq!(common::text(&ack).0, "31[]");
    assert_eq!(event_text(&((),)).unwrap(), "2[\"e\",null]");
    assert_eq!(event_text::<[u8]>(&[1, 2]).unwrap(), "2[\"e\",[1,2]]");
}

#[test]
fn raw_json_is_an_argument_like_any_other() {
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str("{\"a\" : 1}").unwrap();
    let text = event_text(&raw).unwrap();
    assert_eq!(text, "2[\"e\",{\"a\" : 1}]");
    let back: Box<serde_json::value::RawValue> = args(&text, &[]).decode().unwrap();
    assert_eq!(back.get(), raw.get());
    let (back, _): (Box<serde_json::value::RawValue>, Option<u8>) =
        args(&text, &[]).decode().unwrap();
    assert_eq!(back.get(), raw.get());
}

#[test]
fn further_arguments_than_the_type_takes_are_ignored() {
    let args = args(r#"2["e",1,"two",{"x":3,"y":4}]"#, &[]);
    assert_eq!(args.decode::<u8>().unwrap(), 1);
    assert_eq!(args.decode::<(u8,)>().unwrap(), (1,));
    assert_eq!(args.decode::<(u8, String)>().unwrap(), (1, "two".into()));
    assert_eq!(args.decode::<(u8, String, Point)>().unwrap().2, Point { x: 3, y: 4 });
    args.decode::<()>().unwrap();
    args.decode::<serde::de::IgnoredAny>().unwrap();
}

#[test]
fn missing_arguments_are_none_or_an_error_that_counts() {
    for text in ["2[\"e\",1]", "31[1]"] {
        let args = args(text, &[]);
        assert_eq!(args.decode::<(u8, Option<String>)>().unwrap(), (1, None));
        assert_eq!(args.decode::<(u8, Wrapper<Option<u8>>, Option<u8>)>().unwrap().2, None);
        let error = args.decode::<(u8, String)>().unwrap_err().to_string();
        assert!(error.contains("argument 2 is missing, expected a string"), "{error}");
        let error = args.decode::<Pair>().unwrap_err().to_string();
        assert!(error.contains("invalid type: integer `1`, expected a string"), "{error}");
    }
    for text in ["2[\"e\"]", "2", "31[]", "31"] {
        let args = args(text, &[]);
        assert_eq!(args.decode::<Option<u8>>().unwrap(), None);
        assert_eq!(args.decode::<(Option<u8>,)>().unwrap(), (None,));
        assert_eq!(args.decode::<Values>().unwrap(), Values(vec![]));
        args.decode::<()>().unwrap();
        let error = args.decode::<Point>().unwrap_err().to_string();
        assert_eq!(error, "invalid arguments: argument 1 is missing, expected struct Point");
        assert!(args.decode::<Vec<u8>>().is_err());
        assert!(args.is_empty() && args.iter().next().is_none());
    }
}

#[test]
fn undecoded_arguments_can_be_looked_at() {
    let args = args(r#"2["e\u0041", 1 ,"a,]b", [ {"x" : [1,2]} , null ] ] "#, &[]);
    assert_eq!(args.event(), "eA");
    let items: Vec<&str> = args.iter().collect();
    assert_eq!(items, ["1", r#""a,]b""#, r#"[ {"x" : [1,2]} , null ]"#]);
    assert_eq!(args.len(), 3);
    assert_eq!(args.raw(), r#"1 ,"a,]b", [ {"x" : [1,2]} , null ] "#);
    assert_eq!(args.decode::<(u8, String)>().unwrap(), (1, "a,]b".into()));
}
