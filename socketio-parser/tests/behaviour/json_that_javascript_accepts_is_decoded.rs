//! JavaScript accepts half a surrogate pair, and numbers beyond an `f64`. They reach handlers, and
//! pass through unchanged if they are not decoded.

use crate::common;

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use bytes::Bytes;
use common::{args, text};
use proptest::{collection::vec, prelude::*};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json, value::RawValue};
use socketio_parser::{Args, Binary, Nsp, RawJson, Value, Values, encode_event, value};

#[derive(Debug, PartialEq, Deserialize)]
struct Message {
    text: String,
    tags: BTreeMap<String, Option<char>>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Either {
    Text { text: String },
    Number(f64),
}

#[test]
fn half_a_surrogate_pair_is_a_replacement_character() {
    let received = args(
        r#"2["e",{"text":"cut \ud83d","tags":{"\udE00":"\ud83d","😀":null}},"\ud83d\ude00"]"#,
        &[],
    );
    let message = Message {
        text: "cut \u{fffd}".into(),
        tags: [("\u{fffd}".into(), Some('\u{fffd}')), ("😀".into(), None)].into(),
    };
    assert_eq!(received.decode::<(Message, String)>().unwrap(), (message, "😀".into()));
    let json = json!({ "text": "cut \u{fffd}", "tags": { "\u{fffd}": "\u{fffd}", "😀": null } });
    assert_eq!(received.decode::<Json>().unwrap(), json);
    assert_eq!(received.values().unwrap(), [json.into(), value!("😀")]);
    let either = args(r#"2["e",{"text":"\ud83d"}]"#, &[]).decode::<Either>().unwrap();
    assert_eq!(either, Either::Text { text: "\u{fffd}".into() });
    // This packet also has binary.
    let received = args(r#"51-["e",{"\ud83d":{"_placeholder":true,"num":0}}]"#, &[b"x"]);
    let binary = value!({ "\u{fffd}": Bytes::from_static(b"x") });
    assert_eq!(received.values().unwrap(), [binary]);
}

#[test]
fn an_event_is_known_by_the_replacement_character() {
    for text in [r#"2["cut \ud83d",1]"#, r#"51-["cut \ud83d",1]"#] {
        let received = args(text, if text.starts_with('5') { &[b"x"] } else { &[] });
        assert_eq!(received.event(), "cut \u{fffd}");
        assert_eq!(received.decode::<u8>().unwrap(), 1);
    }
}

#[test]
fn a_number_beyond_an_f64_is_infinity_or_null() {
    let received = args(r#"2["e",1e400,-1e400,[1E999]]"#, &[]);
    let (positive, negative, list): (f64, f32, Vec<f64>) = received.decode().unwrap();
    assert_eq!((positive, negative, list[0]), (f64::INFINITY, f32::NEG_INFINITY, f64::INFINITY));
    assert_eq!(received.decode::<Json>().unwrap(), Json::Null);
    assert_eq!(received.decode::<Either>().unwrap(), Either::Number(f64::INFINITY));
    let nulls = [value!(null), value!(null), value!([null])];
    assert_eq!(received.values().unwrap(), nulls);
    let error = received.decode::<u32>().unwrap_err().to_string();
    assert!(error.contains("floating point `inf`, expected u32"), "{error}");
}

#[test]
fn arguments_that_are_not_decoded_pass_through_unchanged() {
    let list = r#""\ud83d",1e400,{"\ude00":[-1E999]}"#;
    let received = args(&format!("2[\"e\",{list}]"), &[]);
    let frames = encode_event(&Nsp::root(), None, "back", &received).unwrap();
    assert_eq!(text(&frames).0, format!("2[\"back\",{list}]"));
    let raw: (Box<RawValue>, Box<RawValue>) = received.decode().unwrap();
    assert_eq!((raw.0.get(), raw.1.get()), (r#""\ud83d""#, "1e400"));
    let frames = encode_event(&Nsp::root(), None, "back", &raw).unwrap();
    assert_eq!(text(&frames).0, r#"2["back","\ud83d",1e400]"#);
}

/// Arguments beside others are decoded, because their text cannot be copied.
#[test]
fn arguments_that_are_decoded_in_between_lose_only_lone_surrogates() {
    let received = args(r#"2["e","\ud83d",1e400,1]"#, &[]);
    let frames = encode_event(&Nsp::root(), None, "back", &("x", &received)).unwrap();
    assert_eq!(text(&frames).0, "2[\"back\",\"x\",[\"\u{fffd}\",null,1]]");
}

#[test]
fn payloads_of_connect_are_decoded_alike() {
    let auth = RawJson::new(r#"{"token":"\ud83d","n":1e400}"#).unwrap();
    #[derive(Deserialize)]
    struct Auth<'a> {
        token: String,
        #[serde(borrow)]
        n: &'a RawValue,
    }
    let Auth { token, n } = auth.decode().unwrap();
    assert_eq!((&*token, n.get()), ("\u{fffd}", "1e400"));
    assert_eq!(auth.decode::<Json>().unwrap(), json!({ "token": "\u{fffd}", "n": null }));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    One(i64),
    Two(String, Option<bool>),
    Named { a: f32, b: Vec<Choice> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    choice: Choice,
    by_number: BTreeMap<i16, u8>,
    by_truth: BTreeMap<bool, ()>,
    by_choice: BTreeMap<Letter, char>,
    large: (i128, u128),
    #[serde(default)]
    unit: (),
    nested: Option<Box<Everything>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Json>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Letter {
    A,
    B,
}

#[test]
fn every_type_is_decoded_as_serde_json_decodes_it() {
    let inner = Everything {
        choice: Choice::Unit,
        by_number: BTreeMap::new(),
        by_truth: BTreeMap::new(),
        by_choice: BTreeMap::new(),
        large: (-1, 1),
        unit: (),
        nested: None,
        rest: BTreeMap::new(),
    };
    let value = Everything {
        choice: Choice::Named {
            a: 0.1,
            b: vec![Choice::Unit, Choice::One(i64::MIN), Choice::Two("x\n".into(), Some(true))],
        },
        by_number: [(-3, 1), (300, 2)].into(),
        by_truth: [(true, ())].into(),
        by_choice: [(Letter::A, 'a'), (Letter::B, '\u{1f600}')].into(),
        large: (i128::MIN, u128::MAX),
        unit: (),
        nested: Some(Box::new(inner)),
        rest: [("more".into(), json!([1.5, { "deep": null }]))].into(),
    };
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<Everything>(&json).unwrap(), value);
    assert_eq!(args(&format!("2[\"e\",{json}]"), &[]).decode::<Everything>().unwrap(), value);
}

fn is_refused<T: DeserializeOwned>(received: &Args, reason: &str) {
    let error = received.decode::<T>().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains(reason), "{reason}: {error}");
}

#[test]
fn values_of_another_type_are_errors() {
    is_refused::<u8>(&args("2[\"e\",256]", &[]), "invalid value: integer `256`, expected u8");
    is_refused::<u64>(&args("2[\"e\",-1]", &[]), "invalid value: integer `-1`, expected u64");
    is_refused::<String>(&args("2[\"e\",1]", &[]), "invalid type: integer `1`, expected a string");
    is_refused::<((u8, u8),)>(&args("2[\"e\",[1,2,3]]", &[]), "more items than expected");
    is_refused::<((u8, u8),)>(&args("2[\"e\",[1]]", &[]), "invalid length 1");
    is_refused::<Choice>(&args("2[\"e\",\"Other\"]", &[]), "unknown variant `Other`");
    is_refused::<Choice>(&args("2[\"e\",{}]", &[]), "expected");
    is_refused::<Choice>(&args("2[\"e\",{\"One\":1,\"Two\":2}]", &[]), "more items than expected");
    is_refused::<Choice>(&args("2[\"e\",1]", &[]), "expected enum Choice");
    is_refused::<Message>(&args("2[\"e\",{\"text\":\"\"}]", &[]), "missing field `tags`");
    is_refused::<BTreeMap<u8, u8>>(&args("2[\"e\",{\"x\":1}]", &[]), "expected u8");
}

/// JSON with unusual white space, escapes and numbers.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just(" true ".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[a-zé]{0,3}".prop_map(|text| {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
            format!("\"{}\\/\"", units.collect::<String>())
        }),
    ];
    leaf.prop_recursive(5, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| format!("[ {}]", items.join(" ,"))),
            vec(("[a-z]{0,2}|\\\\u0061", inner), 0..5).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\" : {value}"));
                format!("{{{}\n}}", members.collect::<Vec<_>>().join(",\t"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_those_of_serde_json(json in json_text()) {
        let theirs: Json = serde_json::from_str(&json).unwrap();
        let received = args(&format!("2[\"e\",{json} , 1]"), &[]);
        prop_assert_eq!(received.decode::<Json>().unwrap(), theirs.clone());
        prop_assert_eq!(received.decode::<Value>().unwrap(), Value::from(theirs.clone()));
        let (first, second): (Json, u8) = received.decode().unwrap();
        prop_assert_eq!((first, second), (theirs.clone(), 1));
        prop_assert_eq!(RawJson::new(json).unwrap().decode::<Json>().unwrap(), theirs);
    }

    /// Any valid text can be decoded to a dynamic value.
    #[test]
    fn every_valid_list_has_values(
        units in vec(prop_oneof![Just(0xd83d_u16), Just(0xde00), any::<u16>()], 0..8),
        exponent in -999..999,
        binary in any::<bool>(),
    ) {
        let text: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let list = format!(r#"{{"{text}":["{text}",1e{exponent}]}},{{"_placeholder":true,"num":0}}"#);
        let received = match binary {
            true => args(&format!("51-[\"{text}\",{list}]"), &[b"x"]),
            false => args(&format!("2[\"{text}\",{list}]"), &[]),
        };
        prop_assert_eq!(received.event(), String::from_utf16_lossy(&units));
        let values = received.values().unwrap();
        prop_assert_eq!(values.len(), 2);
        prop_assert_eq!(values[1].as_binary().is_some(), binary);
        prop_assert_eq!(received.decode::<(Json, Option<Binary>)>().is_ok(), binary);
        let again = encode_event(&Nsp::root(), None, "e", &Values(values)).unwrap();
        prop_assert_eq!(again.count(), 1 + usize::from(binary));
    }
}

/// Returns whether a map with keys of the type can be decoded, by our decoder and by `serde_json`.
fn decoded<K: DeserializeOwned + Eq + Hash>(key: &str) -> (bool, bool) {
    let text = format!(r#"{{"{key}":1}}"#);
    let ours = socketio_parser::from_json::<HashMap<K, u8>>(&text);
    (ours.is_ok(), serde_json::from_str::<HashMap<K, u8>>(&text).is_ok())
}

#[test]
fn a_numeric_key_is_a_json_number_as_in_serde_json() {
    let keys = [
        "7",
        "0",
        "-7",
        "255",
        "256",
        "-0",
        "007",
        "+7",
        "-",
        "",
        " 7",
        "7 ",
        "7.0",
        "7.",
        ".5",
        "1e2",
        "1e",
        "inf",
        "NaN",
        "0x7",
        "7a",
        "true",
        "1_000",
        "18446744073709551616",
        "\\u0037",
    ];
    for key in keys {
        for (ours, serde) in [
            decoded::<u8>(key),
            decoded::<i32>(key),
            decoded::<u64>(key),
            decoded::<i128>(key),
            decoded::<u128>(key),
            decoded::<bool>(key),
            decoded::<String>(key),
        ] {
            assert_eq!(ours, serde, "{key}");
        }
    }
    assert!(!decoded::<u32>("007").0 && !decoded::<u32>("+7").0 && decoded::<u32>("7").0);
}
