//! A buffer that a value holds many times is one attachment. Otherwise the echo of a packet with many
//! placeholders for one attachment would contain many copies.

use bytes::Bytes;
use socketio_parser::{Binary, Content, DecodeError, Decoder, Limits, Nsp, Values, encode_event};

#[test]
fn a_buffer_is_attached_once_for_many_placeholders() -> Result<(), Box<dyn std::error::Error>> {
    let mut decoder = Decoder::new(&Limits::default());
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    let list = [placeholder; 1000].join(",");
    assert_eq!(decoder.decode_text(format!(r#"51-["x",{list}]"#).into())?, None);
    let packet = decoder.decode_binary(Bytes::from_static(b"data"))?;
    let Some(Content::Event { args, .. }) = packet.map(|packet| packet.content) else {
        return Err("an event was expected".into());
    };
    let values: Values = args.decode()?;
    assert_eq!(values.0.len(), 1000);
    let frames = encode_event(&Nsp::root(), None, "x", &values)?;
    assert_eq!(frames.count(), 2);
    Ok(())
}

#[test]
fn a_part_of_a_buffer_is_another_attachment() -> Result<(), Box<dyn std::error::Error>> {
    let all = Bytes::from_static(b"abcd");
    let parts = (Binary(all.clone()), Binary(all.slice(..2)), Binary(all.slice(2..)), Binary(all));
    let frames = encode_event(&Nsp::root(), None, "x", &parts)?;
    let payloads: Vec<Bytes> = frames.iter().skip(1).map(|frame| frame.payload()).collect();
    assert_eq!(payloads, ["abcd", "ab", "cd"]);
    let text = frames.iter().next().map(|frame| frame.payload()).unwrap_or_default();
    assert!(text.ends_with(br#"{"_placeholder":true,"num":0}]"#), "{text:?}");
    Ok(())
}

#[test]
fn a_buffer_counts_once_per_placeholder_towards_the_limit_of_attachments() {
    let limits = Limits::default().max_attachment_bytes(1000);
    let decode = |uses: usize| {
        let list = vec![r#"{"_placeholder":true,"num":0}"#; uses].join(",");
        let mut decoder = Decoder::new(&limits);
        assert_eq!(decoder.decode_text(format!(r#"51-["e",{list}]"#).into()), Ok(None));
        decoder.decode_binary(Bytes::from(vec![0; 100]))
    };
    assert!(matches!(decode(10), Ok(Some(_))));
    assert_eq!(decode(11), Err(DecodeError::AttachmentsTooLarge { limit: 1000 }));
}
