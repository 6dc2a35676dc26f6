//! Server-side events.

use socketio_parser::{Value, value};

use super::{Client, Harness, items, ok, three, until_fence};

/// Server-side events reach the other servers in order, but not the sender. Replies are returned.
pub async fn server_side_events_reach_the_other_servers<H: Harness>(harness: &H) {
    let mut clients = three(harness).await;
    let [zero, ..] = &mut clients;
    assert_eq!(zero.call(value!({ "op": "serverCount" })).await, value!(3));
    ok(&zero.call(value!({ "op": "serverSideEmit", "args": ["hello", 1, { "a": [null] }] })).await);
    let answer = zero.call(value!({ "op": "serverSideEmitWithAck", "args": ["who?"] })).await;
    assert_eq!(answer.get("error"), Some(&Value::Null), "{answer:?}");
    let names = items(answer.get("responses"));
    let mut names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["node 1", "node 2"]);
    until_fence(&mut clients, 0).await;
    let next_event = value!([["hello", 1, { "a": [null] }], ["who?"]]);
    for (client, expected) in clients.iter_mut().zip([value!([]), next_event.clone(), next_event]) {
        assert_eq!(client.call(value!({ "op": "serverSideLog" })).await, expected);
    }
}

/// A dead server delays requests at most until their deadline, and the other servers keep working.
/// Run this last, because it kills server 2.
pub async fn dead_servers_do_not_block_requests<H: Harness>(harness: &H) {
    let [mut zero, mut one, _two] = three(harness).await;
    harness.kill(2);
    let found = zero.call(value!({ "op": "fetchSockets" })).await;
    let sockets = found.get("responses").unwrap_or(&found);
    let sockets = items(Some(sockets));
    assert_eq!(sockets.len(), 2, "{found:?}");

    let answer = one.call(value!({ "op": "serverSideEmitWithAck", "args": ["who?"] })).await;
    assert_eq!(answer.get("responses"), Some(&value!(["node 0"])), "{answer:?}");

    let op = value!({ "op": "emitWithAck", "event": "q", "timeout": 1_000, "to": ["nobody"] });
    assert_eq!(one.call(op).await.get("responses"), Some(&value!([])));
    ok(&zero.call(value!({ "op": "emit", "event": "still", "to": ["s1"] })).await);
    assert_eq!(one.next().await.map(|event| event.name).as_deref(), Some("still"));
}
