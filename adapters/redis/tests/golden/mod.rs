//! Golden vectors of Node's adapter and emitter for plain pub/sub. Each message is decoded and must
//! encode to the same bytes. Its meaning must equal that of the same message from the sharded
//! adapter.

use serde_json::Value;
use socketio_adapter::{Body, ClusterLimits, Message};

use super::wire;

#[test]
fn nodes_messages_are_decoded_and_encoded_to_the_same_bytes() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../../core/tests/golden/cluster.json")).unwrap();
    let of = |adapter: &'static str| vectors.iter().filter(move |it| it["adapter"] == adapter);
    let mut compared = 0;
    for vector in of("classic").chain(of("redis-emitter")) {
        let name = vector["name"].as_str().unwrap();
        let by_server = vector["adapter"] == "classic";
        let sent = bytes(vector);
        let (read, written) = both(vector["channel"].as_str().unwrap(), &sent);
        // Emitters write other fields, or the same fields in another order.
        assert!(!by_server || written == sent, "{name}: {}", written.escape_ascii());
        let sharded = of("sharded").find(|it| it["name"] == name).unwrap();
        let sharded = Message::decode(&bytes(sharded), &ClusterLimits::default()).unwrap().body;
        // Request ids are random. And Node's classic adapter sends binary in server-side events as
        // JSON.
        if !names_a_request(&sharded) && name != "server side emit binary" {
            assert_eq!(read, sharded, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}

/// Decodes a message and encodes it again.
fn both(channel: &str, sent: &[u8]) -> (Body, Vec<u8>) {
    let limits = ClusterLimits::default();
    if channel.starts_with("socket.io-response#") {
        let body = wire::read_reply(sent, &limits).unwrap().unwrap();
        let written = wire::reply(&body).unwrap();
        return (body, written.to_vec());
    }
    let (message, written) = if channel.starts_with("socket.io-request#") {
        let (uid, body) = wire::read_request(sent, &limits).unwrap();
        let message = Message { uid, nsp: socketio_parser::Nsp::root(), body, seq: None };
        let written = wire::request(&message).unwrap();
        (message, written)
    } else {
        let message = wire::read_broadcast(sent, &limits).unwrap();
        let written = wire::broadcast(&message);
        (message, written)
    };
    (message.body, written.to_vec())
}

fn names_a_request(body: &Body) -> bool {
    match body {
        Body::Broadcast { request, .. } | Body::ServerSideEmit { request, .. } => request.is_some(),
        Body::FetchSockets { .. } => true,
        other => other.replies_to().is_some(),
    }
}

fn bytes(vector: &Value) -> Vec<u8> {
    let Some(hex) = vector["hex"].as_str() else {
        return vector["text"].as_str().unwrap().as_bytes().to_vec();
    };
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}
