//! This codec agrees with Node's, in both directions. The vectors are made by Node's parsers.

use crate::golden;

use bytes::Bytes;
use engineio_parser::{
    Frame, OpenPacket, Packet, PacketError, Revision, payload,
    websocket::Header,
    webtransport::{self, Decoder},
};

#[test]
fn packets_agree_with_node() {
    for vector in golden::list("packets") {
        let revision = golden::revision(&vector);
        let packet = golden::packet(&vector["packet"]);
        let (binary, wire) = (golden::flag(&vector["binary"]), golden::hex(&vector["wire"]));
        let frame = packet.to_frame().unwrap();
        assert_eq!(frame.is_binary(), binary);
        assert_eq!(frame.polling_text(revision), golden::hex(&vector["polling"]), "{vector}");
        assert_eq!(websocket_message(&frame, revision), wire, "{vector}");
        assert_eq!(decode(revision, binary, wire), Ok(packet), "{vector}");
    }
}

#[test]
fn unusual_packets_are_decoded_as_node_decodes_them() {
    for vector in golden::list("packet_decodes") {
        let decoded = decode(
            golden::revision(&vector),
            golden::flag(&vector["binary"]),
            golden::hex(&vector["wire"]),
        );
        let expected = (!vector["packet"].is_null()).then(|| golden::packet(&vector["packet"]));
        assert_eq!(decoded.ok(), expected, "{vector}");
    }
}

#[test]
fn payloads_agree_with_node() {
    for vector in golden::list("payloads") {
        let revision = golden::revision(&vector);
        let packets = golden::packets(&vector["packets"]);
        let frames: Vec<Frame> = packets.iter().map(|packet| packet.to_frame().unwrap()).collect();
        let payload = payload::encode(revision, golden::flag(&vector["b64"]), &frames);
        assert_eq!(payload.body, golden::hex(&vector["body"]), "{vector}");
        assert_eq!(payload.binary, golden::flag(&vector["binary"]), "{vector}");
        if !payload.body.is_empty() {
            let decoded: Result<Vec<_>, _> =
                payload::decode(revision, payload.body, payload.binary).collect();
            assert_eq!(decoded, Ok(packets), "{vector}");
        }
    }
}

#[test]
fn unusual_payloads_are_decoded_as_node_decodes_them() {
    for vector in golden::list("payload_decodes") {
        let mut decoded: Vec<_> = payload::decode(
            golden::revision(&vector),
            golden::hex(&vector["body"]).into(),
            golden::flag(&vector["binary"]),
        )
        .collect();
        let error = decoded.pop_if(|last| last.is_err()).is_some();
        let packets: Vec<_> = decoded.into_iter().map(Result::unwrap).collect();
        assert_eq!(packets, golden::packets(&vector["packets"]), "{vector}");
        assert_eq!(error, golden::flag(&vector["error"]), "{vector}");
    }
}

#[test]
fn webtransport_streams_agree_with_node() {
    for vector in golden::list("webtransport") {
        let packet = golden::packet(&vector["packet"]);
        let stream = golden::hex(&vector["stream"]);
        let (header, body) = webtransport::encode(&packet.to_frame().unwrap());
        assert_eq!([header.as_ref(), &body].concat(), stream, "{vector}");
        assert_eq!(decode_stream(u64::MAX, &stream), (vec![packet], false), "{vector}");
    }
}

#[test]
fn webtransport_headers_agree_with_node() {
    for vector in golden::list("webtransport_headers") {
        let len = usize::try_from(vector["len"].as_u64().unwrap()).unwrap();
        let header = webtransport::header(len, golden::flag(&vector["binary"]));
        assert_eq!(header.as_ref(), golden::hex(&vector["header"]), "{vector}");
    }
}

#[test]
fn unusual_webtransport_streams_are_decoded_as_node_decodes_them() {
    for vector in golden::list("webtransport_decodes") {
        let max_payload = vector["max_payload"].as_u64().unwrap();
        let expected = (golden::packets(&vector["packets"]), golden::flag(&vector["error"]));
        assert_eq!(
            decode_stream(max_payload, &golden::hex(&vector["stream"])),
            expected,
            "{vector}"
        );
    }
}

#[test]
fn handshakes_agree_with_node() {
    for vector in golden::list("handshakes") {
        let text = vector["packet"].as_str().unwrap();
        let open = OpenPacket::decode(&text[1..]).unwrap();
        if open.max_payload.is_some() {
            assert_eq!(open.encode().payload(), text);
        } else {
            // Node writes an infinite limit as null. This crate omits the key.
            assert!(text.ends_with(r#","maxPayload":null}"#));
            assert_eq!(open.encode().payload(), text.replace(r#","maxPayload":null"#, ""));
        }
    }
}

fn decode(revision: Revision, binary: bool, wire: Vec<u8>) -> Result<Packet, PacketError> {
    let wire = Bytes::from(wire);
    if binary {
        Packet::decode_binary(wire, revision)
    } else {
        Packet::decode_text(wire.try_into().unwrap(), revision)
    }
}

/// The payload of the WebSocket frame, without its header.
fn websocket_message(frame: &Frame, revision: Revision) -> Vec<u8> {
    let frame = frame.websocket(revision);
    let whole = [frame.header(), &frame.body].concat();
    let (_, header) = Header::parse(&whole).unwrap().unwrap();
    whole[header..].to_vec()
}

fn decode_stream(max_payload: u64, stream: &[u8]) -> (Vec<Packet>, bool) {
    let mut decoder = Decoder::new(max_payload);
    decoder.push(stream);
    let mut packets = Vec::new();
    loop {
        match decoder.next() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return (packets, false),
            Err(_) => return (packets, true),
        }
    }
}
