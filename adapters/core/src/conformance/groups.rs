//! Requests for sockets, and operations on them, across servers.

use socketio_parser::{Value, value};

use super::{Client, Harness, items, next_event, ok, three, until_fence};

/// `fetchSockets` returns all sockets, those of rooms, or those of one server, with their rooms and
/// data.
pub async fn sockets_are_fetched<H: Harness>(harness: &H) {
    let [mut zero, one, mut two] = three(harness).await;
    let described = |id: &str, n: u8, rooms: &[&str]| {
        let mut rooms: Vec<&str> = rooms.iter().copied().chain([id]).collect();
        rooms.sort_unstable();
        let rooms: Vec<Value> = rooms.into_iter().map(Value::from).collect();
        (id.to_owned(), Value::Array(rooms), value!({ "n": n }))
    };
    let mut all = vec![
        described(zero.id(), 0, &["all", "s0", "low"]),
        described(one.id(), 1, &["all", "s1", "low"]),
        described(two.id(), 2, &["all", "s2"]),
    ];
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found(zero.call(value!({ "op": "fetchSockets" })).await), all);
    assert_eq!(found(two.call(value!({ "op": "fetchSockets", "to": ["all"] })).await), all);

    let without = |id: &str| all.iter().filter(|it| it.0 != id).cloned().collect::<Vec<_>>();
    let low = without(two.id());
    assert_eq!(found(two.call(value!({ "op": "fetchSockets", "to": ["low"] })).await), low);
    assert_eq!(found(zero.call(value!({ "op": "fetchSockets", "except": ["s2"] })).await), low);
    let local = found(two.call(value!({ "op": "fetchSockets", "local": true })).await);
    assert_eq!(local, [described(two.id(), 2, &["all", "s2"])]);
}

fn found(answer: Value) -> Vec<(String, Value, Value)> {
    let sockets = items(Some(&answer));
    let field = |socket: &Value, name| socket.get(name).cloned().unwrap_or_default();
    let socket = |socket: &Value| {
        let id = socket.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        (id, field(socket, "rooms"), field(socket, "data"))
    };
    sockets.iter().map(socket).collect()
}

/// Sockets of all servers join and leave rooms.
pub async fn sockets_join_and_leave<H: Harness>(harness: &H) {
    let mut clients = three(harness).await;
    let [zero, ..] = &mut clients;
    ok(&zero.call(value!({ "op": "socketsJoin", "to": ["low"], "rooms": ["new"] })).await);
    // Other servers have executed all earlier requests of a server when its fence arrives.
    until_fence(&mut clients, 0).await;
    harness.settle(0, "/", "new").await;
    harness.settle(1, "/", "new").await;
    let [_, _, two] = &mut clients;
    ok(&two.call(value!({ "op": "emit", "event": "new", "to": ["new"] })).await);
    let seen = until_fence(&mut clients, 2).await;
    assert_eq!(seen.each_ref().map(Vec::len), [1, 1, 0]);

    let [_, _, two] = &mut clients;
    ok(&two.call(value!({ "op": "socketsLeave", "to": ["s1"], "rooms": ["new"] })).await);
    ok(&two.call(value!({ "op": "emit", "event": "new", "to": ["new"] })).await);
    let seen = until_fence(&mut clients, 2).await;
    assert_eq!(seen.each_ref().map(Vec::len), [1, 0, 0]);
}

/// Sockets of all servers are disconnected.
pub async fn sockets_are_disconnected<H: Harness>(harness: &H) {
    let [mut zero, mut one, mut two] = three(harness).await;
    ok(&zero.call(value!({ "op": "disconnectSockets", "to": ["s2"], "close": true })).await);
    assert_eq!(next_event(&mut two).await.0, "disconnected");
    ok(&zero.call(value!({ "op": "disconnectSockets", "to": ["s1"], "close": false })).await);
    assert_eq!(next_event(&mut one).await.0, "disconnected");
    let left = found(zero.call(value!({ "op": "fetchSockets" })).await);
    assert_eq!(left.len(), 1, "{left:?}");
}
