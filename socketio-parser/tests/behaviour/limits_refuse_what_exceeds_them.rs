//! Each limit of the codec accepts the largest allowed value, and refuses the next with an error that
//! names the limit.

use crate::common;

use common::{decode, decode_with};
use socketio_parser::{Content, DecodeError, Limits};

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn attachments_are_counted_before_any_arrives() {
    let announce = |n: usize| decode(&format!(r#"5{n}-["e",{PLACEHOLDER}]"#), &[]);
    assert_eq!(announce(10), Ok(None));
    assert_eq!(announce(11), Err(DecodeError::TooManyAttachments));
    assert_eq!(announce(usize::MAX), Err(DecodeError::TooManyAttachments));
    let none = Limits::default().max_attachments(0);
    assert_eq!(decode_with(none, "51-[\"e\"]", &[]), Err(DecodeError::TooManyAttachments));
}

#[test]
fn bytes_of_all_attachments_are_summed() {
    let limits = Limits::default().max_attachment_bytes(6);
    let text = format!(r#"52-["e",{PLACEHOLDER}]"#);
    assert!(decode_with(limits.clone(), &text, &[b"123", b"456"]).is_ok_and(|p| p.is_some()));
    let limit = 6;
    let too_large = Err(DecodeError::AttachmentsTooLarge { limit });
    assert_eq!(decode_with(limits.clone(), &text, &[b"123", b"4567"]), too_large);
    assert_eq!(decode_with(limits, &text, &[b"1234567"]), too_large);
}

#[test]
fn depth_is_limited_wherever_json_stands() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let too_deep = Err(DecodeError::TooDeep { limit: 128 });
    // The argument list is one level.
    for depth in [127, 100_000] {
        assert_eq!(decode(&format!("2[\"e\",{}]", nested(depth)), &[]), too_deep);
        assert_eq!(decode(&format!("3[{}]", nested(depth)), &[]), too_deep);
        assert_eq!(decode(&format!("51-[\"e\",{}]", nested(depth)), &[b"1"]), too_deep);
        assert_eq!(decode(&format!("0{{\"a\":{}}}", nested(depth)), &[]), too_deep);
        assert_eq!(decode(&format!("4{{\"a\":{}}}", nested(depth)), &[]), too_deep);
    }
    let deepest = common::args(&format!("2[\"e\",{}]", nested(126)), &[]);
    assert_eq!(deepest.values().unwrap().len(), 1);
    let objects = r#"{"a":"#.repeat(126) + "1" + &"}".repeat(126);
    assert_eq!(common::args(&format!("3[{objects}]"), &[]).values().unwrap().len(), 1);

    let shallow = Limits::default().max_depth(2);
    assert!(decode_with(shallow.clone(), "2[\"e\",1]", &[]).is_ok());
    let too_deep = Err(DecodeError::TooDeep { limit: 2 });
    assert_eq!(decode_with(shallow, "2[\"e\",[]]", &[]), too_deep);
}

#[test]
fn event_names_have_a_length() {
    let event = |name: &str| decode(&format!("2[\"{name}\"]"), &[]);
    let too_long = Err(DecodeError::EventNameTooLong { limit: 1024 });
    assert!(event(&"a".repeat(1024)).is_ok());
    assert_eq!(event(&"a".repeat(1025)), too_long);
    // The decoded name counts, not its escaped form.
    assert!(event(&"\\u0061".repeat(1024)).is_ok());
    assert_eq!(event(&"\\u0061".repeat(1025)), too_long);
}

#[test]
fn namespaces_have_a_length() {
    let connect = |len: usize| decode(&format!("0/{}", "a".repeat(len - 1)), &[]);
    assert!(connect(2048).is_ok());
    let too_long = Err(DecodeError::NamespaceTooLong { limit: 2048 });
    assert_eq!(connect(2049), too_long);
    assert_eq!(decode(&format!("2/{},[\"e\"]", "a".repeat(2048)), &[]), too_long);
}

#[test]
fn an_ack_id_has_no_more_digits_than_a_number_can_have() {
    let event = |digits: usize| decode(&format!("2{}[\"e\"]", "1".repeat(digits)), &[]);
    assert!(event(309).is_ok_and(|packet| {
        packet.is_some_and(|packet| matches!(packet.content, Content::Event { id: Some(_), .. }))
    }));
    assert_eq!(event(310), Err(DecodeError::InvalidPayload));
    assert_eq!(event(100_000), Err(DecodeError::InvalidPayload));
}
