//! The recipients of broadcasts.

use bytes::Bytes;
use socketio_parser::{Value, value};

use super::{Client, Harness, items, next_event, ok, three, until_fence};

/// Every client on every server gets a broadcast once or not at all, with rooms, exceptions, the
/// sender, flags and binary.
pub async fn broadcasts_reach_the_selected_clients<H: Harness>(harness: &H) {
    let mut clients = three(harness).await;
    let ids: Vec<String> = clients.iter().map(|client| client.id().to_owned()).collect();
    let id = |n: usize| ids.get(n).cloned().unwrap_or_default();
    for from in [0, 2] {
        let others: Vec<usize> = (0..3).filter(|n| *n != from).collect();
        let cases: Vec<(Value, Vec<usize>)> = vec![
            (value!({ "op": "emit" }), vec![0, 1, 2]),
            (value!({ "op": "broadcast" }), others),
            (value!({ "op": "emit", "to": ["low"] }), vec![0, 1]),
            (value!({ "op": "emit", "to": ["low", "all", "s0"] }), vec![0, 1, 2]),
            (value!({ "op": "emit", "to": ["s1"] }), vec![1]),
            (value!({ "op": "emit", "to": [id(2)] }), vec![2]),
            (value!({ "op": "emit", "to": ["nobody"] }), vec![]),
            (value!({ "op": "emit", "except": ["low"] }), vec![2]),
            (value!({ "op": "emit", "to": ["all"], "except": [id(1), "nobody"] }), vec![0, 2]),
            (value!({ "op": "emit", "flags": { "local": true } }), vec![from]),
            (value!({ "op": "emit", "flags": { "compress": false } }), vec![0, 1, 2]),
        ];
        for (index, (mut op, expected)) in cases.into_iter().enumerate() {
            let name = format!("case {index}");
            if let Value::Object(op) = &mut op {
                op.insert("event".into(), name.as_str().into());
            }
            if let Some(client) = clients.get_mut(from) {
                ok(&client.call(op).await);
            }
            let seen = until_fence(&mut clients, from).await;
            for (n, seen) in seen.iter().enumerate() {
                let expected: &[String] =
                    if expected.contains(&n) { std::slice::from_ref(&name) } else { &[] };
                assert_eq!(seen, expected, "{name} from {from} at {n}");
            }
        }
    }
    let args = value!([{ "deep": [Bytes::from_static(&[0, 1, 2]), 1.5, null, "é"] }, -7]);
    let [zero, ..] = &mut clients;
    ok(&zero.call(value!({ "op": "emit", "event": "binary", "args": args.clone() })).await);
    for client in &mut clients {
        let event = client.next().await;
        let got = event.map(|event| Value::Array(event.args.0));
        assert_eq!(got, Some(args.clone()));
    }
}

/// Messages of one server arrive in order, with and without binary, from fast and slow servers.
pub async fn messages_of_a_server_keep_their_order<H: Harness>(harness: &H) {
    let mut clients = three(harness).await;
    for from in [0, 2] {
        for n in 0..60_u32 {
            let body: Value =
                if n % 3 == 0 { Bytes::from_static(b"x").into() } else { Value::Null };
            let op = value!({ "op": "emit", "event": "n", "to": ["all"], "args": [n, body] });
            if let Some(client) = clients.get_mut(from) {
                ok(&client.call(op).await);
            }
        }
        for (at, client) in clients.iter_mut().enumerate() {
            let mut all = Vec::new();
            while all.len() < 60 {
                all.push(next_event(client).await);
            }
            let expected: Vec<_> = (0..60_u32).map(|n| (String::from("n"), n.into())).collect();
            assert_eq!(all, expected, "from {from} at {at}");
        }
    }
}

/// Broadcasts and requests of a namespace do not affect other namespaces.
pub async fn namespaces_are_separate<H: Harness>(harness: &H) {
    let mut main = three(harness).await;
    let mut chat = harness.connect(1, "/chat", &["all"], Value::Null).await;
    harness.settle(1, "/chat", "all").await;
    let [zero, ..] = &mut main;
    ok(&zero.call(value!({ "op": "emit", "event": "main", "to": ["all"] })).await);
    ok(&chat.call(value!({ "op": "emit", "event": "chat", "to": ["all"] })).await);
    assert_eq!(next_event(&mut chat).await.0, "chat");
    let sockets = chat.call(value!({ "op": "fetchSockets" })).await;
    let sockets = items(Some(&sockets));
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    let seen = until_fence(&mut main, 0).await;
    assert_eq!(seen, [const { String::new() }; 3].map(|_| vec![String::from("main")]));
}
