//! Arbitrary packets mean the same to Node's parser. `cargo xtask test client` and
//! `cargo xtask fuzz` run this test.

use bytes::Bytes;
use engineio_parser::PacketData;
use fuzz::{NodeParser, run};
use serde_json::Value as Json;
use socketio_parser::{DecodeError, Decoder, Limits};

use crate::{
    agrees_with_the_node_parser::{described, expected, rewritten},
    common,
    fuzz_bodies::{msgpack_packets, packets},
};

#[test]
#[ignore = "needs Node; `cargo xtask test client` and `cargo xtask fuzz` run it"]
fn node_decode() {
    let mut node = NodeParser::start('s');
    run("node_decode", 20_000, &packets(), |input| {
        if messages(input).is_some_and(|(text, _)| !differs(text)) {
            node.add(input, compare);
        }
    });
    node.finish(compare);
}

#[test]
#[cfg(feature = "msgpack")]
#[ignore = "needs Node; `cargo xtask test client` and `cargo xtask fuzz` run it"]
fn node_msgpack() {
    let mut node = NodeParser::start('m');
    run("node_msgpack", 20_000, &msgpack_packets(), |input| {
        if msgpack::comparable(input) {
            node.add(input, msgpack::compare);
        }
    });
    node.finish(msgpack::compare);
}

#[cfg(feature = "msgpack")]
mod msgpack {
    use bytes::Bytes;
    use serde_json::Value as Json;
    use socketio_parser::{Content, DecodeError};

    use crate::msgpack_agrees_with_the_node_parser::{decode, described, normal};

    pub(super) fn comparable(input: &[u8]) -> bool {
        // Node's parser allocates as many bytes as such a value announces.
        !input.contains(&0xc9)
    }

    pub(super) fn compare(input: &[u8], found: &str) {
        let mut found: Json = serde_json::from_str(found).unwrap();
        // Only events and acks have an id.
        if found["type"] != 2 && found["type"] != 3 && !found["id"].is_null() {
            found["id"] = Json::Null;
        }
        let packet = match decode(Bytes::copy_from_slice(input)) {
            Ok(packet) => packet,
            Err(DecodeError::MalformedMsgPack) => {
                let input = input.escape_ascii();
                return assert!(found["error"].is_string(), "Node's of b\"{input}\": {found}");
            }
            // This decoder refuses more: keys other than text and numbers, namespaces without `/`,
            // negative ids, names of events other than text and numbers, and what exceeds a limit.
            Err(_) => return,
        };
        let mut ours = described(&packet);
        if let Content::Event { id: Some(id), .. } | Content::Ack { id: Some(id), .. } =
            packet.content
        {
            // JavaScript has no integers beyond 2^53.
            ours["id"] = id.to_string().parse::<f64>().unwrap().into();
        }
        let input = input.escape_ascii();
        assert_eq!(normal(ours), normal(found), "ours and Node's of b\"{input}\"");
    }
}

/// The text of a packet and its attachments, separated by 0x1e.
fn messages(input: &[u8]) -> Option<(&str, Vec<&[u8]>)> {
    let mut messages = input.split(|byte| *byte == 0x1e);
    Some((str::from_utf8(messages.next()?).ok()?, messages.collect()))
}

/// Whether a packet is of a kind that this decoder deliberately decodes differently, see
/// `what_we_treat_differently`: white space and other numbers than decimals before the payload, ids that are
/// no finite number, indexes that are no integer, and binary packets without payload.
fn differs(text: &str) -> bool {
    let binary = text.starts_with(['5', '6']);
    let (attachments, rest) = match text.split_once('-') {
        Some((attachments, rest)) if binary => (attachments, rest),
        _ => ("", text.get(1..).unwrap_or_default()),
    };
    let rest = match rest.strip_prefix('/') {
        Some(namespace) => namespace.split_once(',').map_or("", |(_, rest)| rest),
        None => rest,
    };
    let (id, payload) = rest.split_at(rest.find(['[', '{', '"']).unwrap_or(rest.len()));
    text.trim_start() != text
        || text.is_empty()
        || id.contains(|c: char| c.is_whitespace() || c == '\u{feff}')
        || id.len() > 300
        || binary
            && (!attachments.bytes().all(|byte| byte.is_ascii_digit())
                || payload.is_empty()
                || payload.contains("num") && payload.contains(['.', 'e', 'E']))
}

fn compare(input: &[u8], found: &str) {
    let (text, attachments) = messages(input).unwrap();
    let wire: Vec<_> = std::iter::once(PacketData::Text(text.into()))
        .chain(attachments.iter().map(|bytes| PacketData::Binary(Bytes::copy_from_slice(bytes))))
        .collect();
    let limits = Limits::default().max_event_name(usize::MAX).max_namespace(usize::MAX);
    let mut decoder = Decoder::new(&limits);
    // Text after a complete packet is another packet.
    let mut ours = Ok(None);
    for message in &wire {
        ours = common::feed(&mut decoder, std::slice::from_ref(message));
        if !matches!(ours, Ok(None)) {
            break;
        }
    }
    let found: Json = serde_json::from_str(found).unwrap();
    let input = input.escape_ascii();
    match ours {
        Err(DecodeError::TooDeep { .. }) => {}
        // Node looks at indexes of attachments when all have arrived.
        Err(error) if found["unfinished"] == true => {
            assert_eq!(error.to_string(), "illegal attachments", "b\"{input}\"");
        }
        Err(error) => {
            assert_eq!(found["error"], error.to_string(), "Node's and ours of b\"{input}\"");
        }
        Ok(None) => assert_eq!(found["unfinished"], true, "Node's of b\"{input}\": {found}"),
        Ok(Some(packet)) => {
            let mut packet = rewritten(described(&packet));
            let mut found = expected(&serde_json::json!({ "packet": found }));
            for packet in [&mut packet, &mut found] {
                // JavaScript has no integers beyond 2^53.
                let id = packet["id"].as_str().and_then(|id| id.parse::<f64>().ok());
                packet["id"] = id.into();
            }
            assert_eq!(packet, found, "ours and Node's of b\"{input}\"");
        }
    }
}
