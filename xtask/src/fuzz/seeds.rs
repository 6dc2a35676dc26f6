//! The seed corpus: golden vectors in the form that each fuzz target reads, so that fuzzing starts
//! from real packets.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::workspace::Workspace;

/// The longest message that fits one operation of `connection_ops`, in bytes.
const MAX_MESSAGE: usize = 63;

/// Writes the seeds of a target to its corpus. Inputs that the fuzzer found earlier stay.
pub(super) fn write(
    workspace: &Workspace,
    krate: &str,
    target: &str,
    corpus: &Path,
) -> Result<(), String> {
    let folder = workspace.root.join(krate);
    let golden = folder.join("tests/golden").join(file(target));
    let golden = fs::read_to_string(&golden).map_err(|error| format!("{golden:?}: {error}"))?;
    let golden = serde_json::from_str(&golden).map_err(|error| format!("golden: {error}"))?;
    for (index, seed) in seeds(&golden, target).into_iter().enumerate() {
        let path = corpus.join(format!("golden-{index}"));
        fs::write(&path, seed).map_err(|error| format!("{path:?}: {error}"))?;
    }
    Ok(())
}

/// The file of golden vectors for a target.
fn file(target: &str) -> &'static str {
    if target == "msgpack" { "msgpack.json" } else { "vectors.json" }
}

/// The seeds of a target. Empty if no golden vectors fit the target.
fn seeds(golden: &Value, target: &str) -> Vec<Vec<u8>> {
    let hex = |lists: &[&'static str], field| -> Vec<Vec<u8>> {
        vectors(golden, lists).map(|vector| from_hex(&vector[field])).collect()
    };
    match target {
        "packet" => hex(&["packets", "packet_decodes"], "wire"),
        "payload_v3" | "payload_v4" => hex(&["payloads", "payload_decodes"], "body"),
        "websocket" => {
            // The first byte accepts unmasked frames and compression, the second sets the chunk
            // size, the third a limit far above all vectors.
            let messages = hex(&["packets", "packet_decodes"], "wire").into_iter();
            let short = messages.filter(|message| message.len() < 126);
            short
                .map(|message| [&[0xff, 4, 0xff, 0x82, message.len() as u8], &message[..]].concat())
                .collect()
        }
        "webtransport" => {
            let streams = hex(&["webtransport", "webtransport_decodes"], "stream");
            // The first byte sets the chunk size, the second a limit far above all vectors.
            streams.into_iter().map(|stream| [&[0, 60], &stream[..]].concat()).collect()
        }
        "handshake" => vectors(golden, &["handshakes"])
            .map(|vector| text(&vector["packet"]).bytes().skip(1).collect())
            .collect(),
        "msgpack" => hex(&["server", "client", "browser", "accepted", "rejected"], "wire"),
        "decode" => packets(golden).map(|messages| messages.join(&0x1e)).collect(),
        "connection_ops" => packets(golden).flat_map(|messages| conversations(&messages)).collect(),
        _ => Vec::new(),
    }
}

/// The messages of each Socket.IO packet.
fn packets(golden: &Value) -> impl Iterator<Item = Vec<Vec<u8>>> {
    vectors(golden, &["encoded", "accepted", "rejected", "different"]).map(|vector| {
        let attachments = vector["attachments"].as_array().into_iter().flatten().map(from_hex);
        std::iter::once(text(&vector["text"]).into()).chain(attachments).collect()
    })
}

/// A packet that arrives at a server and at a client, both connected to `/`.
fn conversations(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    const SERVER: [u8; 6] = [2, 1, 1, b'0', 3, 0];
    const CLIENT: [u8; 3] = [0, 5, 0];
    if messages.iter().any(|message| message.len() > MAX_MESSAGE) {
        return Vec::new();
    }
    let operations: Vec<u8> = messages
        .iter()
        .enumerate()
        .flat_map(|(index, message)| {
            [&[u8::from(index == 0), message.len() as u8], &message[..]].concat()
        })
        .collect();
    vec![[&SERVER, &operations[..]].concat(), [&CLIENT, &operations[..]].concat()]
}

fn vectors<'a>(golden: &'a Value, lists: &'a [&'static str]) -> impl Iterator<Item = &'a Value> {
    lists.iter().filter_map(|list| golden[*list].as_array()).flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn from_hex(value: &Value) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    let pairs = text(value).as_bytes().chunks_exact(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seeds_are_the_bytes_of_the_wire() {
        let golden = json!({
            "packets": [{ "wire": "34e9" }],
            "packet_decodes": [{ "wire": "" }],
            "webtransport": [{ "stream": "0132" }],
            "handshakes": [{ "packet": "0{}" }],
        });
        assert_eq!(seeds(&golden, "packet"), [&b"4\xe9"[..], b""]);
        assert_eq!(seeds(&golden, "webtransport"), [[0, 60, 1, b'2']]);
        assert_eq!(seeds(&golden, "handshake"), [b"{}"]);
        assert!(seeds(&golden, "session_ops").is_empty());
    }

    #[test]
    fn a_packet_is_followed_by_its_attachments() {
        let golden = json!({ "encoded": [{ "text": "51-[]", "attachments": ["0a", "0b"] }] });
        assert_eq!(seeds(&golden, "decode"), [b"51-[]\x1e\x0a\x1e\x0b"]);
        let server = b"\x02\x01\x010\x03\x00\x01\x0551-[]\x00\x01\x0a\x00\x01\x0b";
        let client = b"\x00\x05\x00\x01\x0551-[]\x00\x01\x0a\x00\x01\x0b";
        assert_eq!(seeds(&golden, "connection_ops"), [&server[..], client]);
    }

    #[test]
    fn every_target_except_session_ops_has_seeds() {
        let workspace = Workspace::find().unwrap();
        let all = super::super::targets(&workspace).unwrap();
        for target in all.into_iter().filter(|target| target.has_binary(&workspace)) {
            let (krate, target) = (target.suite.package, target.name);
            let golden = workspace.root.join(krate).join("tests/golden").join(file(&target));
            let golden = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
            assert_eq!(seeds(&golden, &target).is_empty(), target == "session_ops", "{target}");
        }
    }
}
