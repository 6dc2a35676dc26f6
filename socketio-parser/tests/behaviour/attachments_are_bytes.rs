//! A type that calls itself bytes is an attachment, in both directions. A type that takes no bytes
//! is an error.

use crate::common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{args, messages, text};
use engineio_parser::PacketData;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value as Json, value::RawValue};
use socketio_parser::{
    Args, Binary, Content, Decoder, Limits, Nsp, Parser, Protocol, Value, encode_ack,
    encode_connect, encode_event, value,
};

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

fn received(list: &str) -> Args {
    args(&format!("51-[\"e\",{list}]"), &[b"binary"])
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Upload<T> {
    name: String,
    body: T,
}

fn slice<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Serializes like the types of `serde_bytes`.
#[derive(Serialize)]
struct Slice(#[serde(serialize_with = "slice")] Vec<u8>);

#[test]
fn bytes_are_sent_as_attachments() {
    let bytes = Bytes::from_static(b"binary");
    let expected = [
        PacketData::Text(format!("51-[\"e\",{PLACEHOLDER}]").into()),
        PacketData::Binary(bytes.clone()),
    ];
    assert_eq!(messages(&encode_event(&Nsp::root(), None, "e", &bytes).unwrap()), expected);
    assert_eq!(
        messages(&encode_event(&Nsp::root(), None, "e", &Slice(bytes.to_vec())).unwrap()),
        expected
    );
    let upload = Upload { name: "a".into(), body: vec![Some(bytes.clone())] };
    let frames =
        encode_ack(&Nsp::root(), 7.into(), &(&upload, Binary(bytes.clone()), &bytes)).unwrap();
    let expected = [
        PacketData::Text(r#"63-7[{"name":"a","body":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]"#.into()),
        PacketData::Binary(bytes.clone()),
        PacketData::Binary(bytes.clone()),
        PacketData::Binary(bytes.clone()),
    ];
    assert_eq!(messages(&frames), expected);
    let frames = Parser::MsgPack.encode_event(&Nsp::root(), None, "e", &upload).unwrap();
    let mut decoder = Decoder::new(&Limits::default()).with_parser(Parser::MsgPack);
    let packet = decoder.decode_binary(frames.iter().next().unwrap().payload()).unwrap().unwrap();
    let Content::Event { args, .. } = packet.content else { panic!() };
    assert_eq!(args.decode::<Upload<Vec<Option<Bytes>>>>().unwrap(), upload);
}

#[test]
fn a_vector_is_a_list_of_numbers() {
    assert_eq!(common::event_text(&vec![1_u8, 2]).unwrap(), "2[\"e\",[1,2]]");
    assert_eq!(args("2[\"e\",[1,2]]", &[]).decode::<Vec<u8>>().unwrap(), [1, 2]);
    // A list of numbers and a string still decode into a type of bytes.
    assert_eq!(args("2[\"e\",[1,2]]", &[]).decode::<Bytes>().unwrap()[..], [1, 2]);
    assert_eq!(args("2[\"e\",\"xé\\n\"]", &[]).decode::<Bytes>().unwrap(), "xé\n");
}

#[test]
fn where_there_are_no_attachments_bytes_are_refused() {
    let payload = Upload { name: "a".into(), body: Slice(vec![1]) };
    let refused = encode_connect(Protocol::V5, &Nsp::root(), &payload).unwrap_err().to_string();
    assert_eq!(refused, "cannot serialize: binary can be serialized in a packet only");
}

#[test]
fn attachments_are_received_as_bytes() {
    let one = received(PLACEHOLDER);
    let binary = Bytes::from_static(b"binary");
    assert_eq!(one.decode::<Bytes>().unwrap(), binary);
    assert_eq!(one.decode::<Binary>().unwrap().0, binary);
    assert_eq!(one.decode::<Value>().unwrap(), Value::Binary(binary.clone()));
    assert_eq!(one.decode::<(Option<Bytes>,)>().unwrap(), (Some(binary.clone()),));
    let upload = received(&format!(r#"{{"name":"a","body":{PLACEHOLDER}}}"#));
    assert_eq!(upload.decode::<Upload<Bytes>>().unwrap().body, binary);
    let map: BTreeMap<String, Value> = upload.decode().unwrap();
    assert_eq!(map["body"].as_binary(), Some(&binary));
    let raw: Upload<Box<RawValue>> = upload.decode().unwrap();
    assert_eq!(raw.body.get(), PLACEHOLDER);
}

fn names_the_remedy<T: DeserializeOwned>(received: &Args) {
    let error = received.decode::<T>().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("invalid type: binary, expected "), "{error}");
    assert!(error.ends_with("; `Binary`, `Bytes` and Socket.IO's own `Value` take it"), "{error}");
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lenient {
    num: Option<u8>,
}

#[derive(Deserialize)]
#[expect(dead_code)]
struct Flattened {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Json>,
}

#[test]
fn a_type_that_takes_no_bytes_says_so() {
    let one = received(PLACEHOLDER);
    names_the_remedy::<Json>(&one);
    names_the_remedy::<Vec<u8>>(&one);
    names_the_remedy::<[u8; 6]>(&received(&format!("{PLACEHOLDER},0,0,0,0,0")));
    names_the_remedy::<BTreeMap<String, Json>>(&one);
    names_the_remedy::<String>(&one);
    names_the_remedy::<(bool,)>(&one);
    names_the_remedy::<Option<f64>>(&one);
    names_the_remedy::<Lenient>(&one);
    let upload = received(&format!(r#"{{"name":"a","body":[{PLACEHOLDER}]}}"#));
    names_the_remedy::<Json>(&upload);
    names_the_remedy::<Upload<Json>>(&upload);
    names_the_remedy::<Upload<Vec<Vec<u8>>>>(&upload);
    names_the_remedy::<Flattened>(&upload);
}

/// Arguments and fields that a type does not name are ignored.
#[test]
fn attachments_may_be_ignored() {
    let list =
        received(&format!("1,{{\"name\":\"a\",\"body\":{PLACEHOLDER},\"more\":2}},{PLACEHOLDER}"));
    #[derive(Deserialize)]
    struct Name {
        name: String,
        more: u8,
    }
    let (one, Name { name, more }): (u8, Name) = list.decode().unwrap();
    assert_eq!((one, &*name, more), (1, "a", 2));
    assert_eq!(list.decode::<u8>().unwrap(), 1);
    let (_, flattened): (u8, Ignoring) = list.decode().unwrap();
    assert_eq!(flattened.inner.name, "a");
}

#[derive(Deserialize)]
struct Ignoring {
    #[serde(flatten)]
    inner: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Id(String);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(f64),
    Text(String),
    Id { body: Id },
    Binary(Binary),
    Upload { body: Binary },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Upload {
        bodies: Vec<Binary>,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    },
}

/// serde buffers values of unknown type. The attachment is still the one that arrived.
#[test]
fn buffered_attachments_are_not_copied() {
    let list = format!(
        r#"{{"kind":"Upload","more":{PLACEHOLDER},"bodies":[{{"_placeholder":true,"num":2}},{{"num":1,"_placeholder":true}}]}}"#
    );
    let args = args(&format!("53-[\"e\",{list}]"), &[b"zero", b"one", b"two"]);
    let [zero, one, two] = args.attachments() else { panic!() };
    let Tagged::Upload { bodies, rest } = args.decode().unwrap();
    for (decoded, attachment) in
        [(&rest["more"].as_binary().unwrap(), zero), (&&bodies[0].0, two), (&&bodies[1].0, one)]
    {
        assert_eq!(decoded.as_ptr(), attachment.as_ptr());
    }
    let one = received(&format!("{{\"body\":{PLACEHOLDER}}}"));
    let Untagged::Upload { body } = one.decode().unwrap() else { panic!() };
    assert_eq!(body.0.as_ptr(), one.attachments()[0].as_ptr());
    // The bytes are valid UTF-8, but not a string.
    let one = received(PLACEHOLDER).decode::<Untagged>().unwrap();
    assert!(matches!(one, Untagged::Binary(_)));
}

#[test]
fn a_placeholder_is_one_attachment_whatever_else_is_in_it() {
    let list = format!(r#"{{"x":{PLACEHOLDER},"num":1,"_placeholder":true}},[[{PLACEHOLDER}]]"#);
    let args = args(&format!("52-[\"e\", {list}]"), &[b"zero", b"one"]);
    let values = [value!(Bytes::from_static(b"one")), value!([[Bytes::from_static(b"zero")]])];
    assert_eq!(args.values().unwrap(), values);
    let frames = encode_event(&Nsp::root(), None, "e", &(values[0].clone(),)).unwrap();
    assert_eq!(text(&frames).1, 1);
}
