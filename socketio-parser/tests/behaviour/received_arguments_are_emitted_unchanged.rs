//! Received arguments are emitted without decoding. Beside other arguments, or as JSON, they are an
//! array.

use crate::common;

use bytes::Bytes;
use common::{args, messages, text};
use engineio_parser::PacketData;
use socketio_parser::{Args, Binary, Nsp, Values, encode_ack, encode_event};

fn echo(args: &Args) -> Vec<PacketData> {
    messages(&encode_event(&Nsp::root(), None, "message-back", args).unwrap())
}

#[test]
fn text_is_passed_on_to_the_byte() {
    for list in
        [r#"1,"2",{"3":[true]}"#, "1.0,1e2", "[ ]", "", r#""\ud800\/""#, "{\"a\":1,\"a\":2}"]
    {
        let comma = if list.is_empty() { "" } else { "," };
        let args = args(&format!("2[\"message\"{comma}{list}]"), &[]);
        assert_eq!(
            echo(&args),
            [PacketData::Text(format!("2[\"message-back\"{comma}{list}]").into())]
        );
        let ack = encode_ack(&Nsp::new("/a").unwrap(), 7.into(), &args).unwrap();
        assert_eq!(text(&ack).0, format!("3/a,7[{list}]"));
    }
    assert_eq!(echo(&args("2", &[])), [PacketData::Text("2[\"message-back\"]".into())]);
}

#[test]
fn attachments_are_passed_on_whatever_their_order() {
    let list = r#"{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}],{"_placeholder":true,"num":1}"#;
    let args = args(&format!("52-[\"message\",{list}]"), &[b"zero", b"one"]);
    let expected = [
        PacketData::Text(format!("52-[\"message-back\",{list}]").into()),
        PacketData::Binary(Bytes::from_static(b"zero")),
        PacketData::Binary(Bytes::from_static(b"one")),
    ];
    assert_eq!(echo(&args), expected);
    let ack = encode_ack(&Nsp::root(), 789.into(), &args).unwrap();
    assert_eq!(text(&ack), (format!("62-789[{list}]"), 2));
}

/// Other binary changes the indexes of the attachments, so the text is written anew.
#[test]
fn received_arguments_beside_others_are_an_array() {
    let received = args(r#"51-["message",{"_placeholder":true,"num":0},1]"#, &[b"theirs"]);
    let ours = Binary(Bytes::from_static(b"ours"));
    let frames = encode_event(&Nsp::root(), None, "e", &(ours, &received)).unwrap();
    let placeholder = |num| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
    let list = format!("{},[{},1]", placeholder(0), placeholder(1));
    let expected = [
        PacketData::Text(format!("52-[\"e\",{list}]").into()),
        PacketData::Binary(Bytes::from_static(b"ours")),
        PacketData::Binary(Bytes::from_static(b"theirs")),
    ];
    assert_eq!(messages(&frames), expected);
}

#[test]
fn received_arguments_are_an_array_as_json() {
    let received = args(r#"2["message",{"b":1,"a":[null]}]"#, &[]);
    assert_eq!(serde_json::to_string(&received).unwrap(), r#"[{"b":1,"a":[null]}]"#);
    let frames = encode_event(&Nsp::root(), None, "e", &vec![received]).unwrap();
    assert_eq!(text(&frames).0, r#"2["e",[[{"b":1,"a":[null]}]]]"#);
}

#[test]
fn decoded_values_are_emitted_alike() {
    let list = r#"1,"2",{"3":[true],"a":{"_placeholder":true,"num":0}}"#;
    let received = args(&format!("51-[\"message\",{list}]"), &[b"x"]);
    let values = Values(received.values().unwrap());
    assert_eq!(
        messages(&encode_event(&Nsp::root(), None, "message-back", &values).unwrap()),
        echo(&received)
    );
}
