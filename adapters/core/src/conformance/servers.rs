//! Servers among themselves.

use socketio_parser::{Value, value};

use super::{Client, Harness, items, ok, three, until_fence};

/// Server-side events reach the other servers, not the own one, in order; answers come back.
pub async fn servers_talk_to_servers<H: Harness>(harness: &H) {
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
    let heard = value!([["hello", 1, { "a": [null] }], ["who?"]]);
    for (client, expected) in clients.iter_mut().zip([value!([]), heard.clone(), heard]) {
        assert_eq!(client.call(value!({ "op": "serverSideLog" })).await, expected);
    }
}

/// A server that is gone does not hold requests up for longer than their deadline, and the others go on. To be run last:
/// server 2 is killed.
pub async fn the_dead_are_not_waited_for<H: Harness>(harness: &H) {
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
