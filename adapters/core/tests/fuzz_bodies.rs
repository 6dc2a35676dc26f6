//! The fuzz bodies hold for mutated messages of every type, and for any sequence of operations.

mod common;

use fuzz::run;
use socketio_adapter::{fuzzing, recovery::SavedSession};
use socketio_parser::{Nsp, Value, value};

#[test]
fn message() {
    let messages = common::all();
    let json = messages.iter().map(|message| message.encode().to_vec());
    let msgpack = messages.iter().map(|message| message.to_msgpack().to_vec());
    run("message", 3000, &json.chain(msgpack).collect::<Vec<_>>(), fuzzing::message);
}

#[test]
fn session() {
    let data = [value!({ "n": 1 }), value!([null, -1.5, "é"]), Value::Binary(vec![1].into())];
    let seeds = data.into_iter().enumerate().map(|(number, data)| {
        let session = SavedSession {
            nsp: (number > 0).then(|| Nsp::unchecked("/n")),
            pid: "p".into(),
            sid: "s".into(),
            rooms: vec!["s".into(), "r".into()],
            data,
            owner: (number > 1).then(|| "node".into()),
            epoch: number as u64,
            former_nodes: Vec::new(),
        };
        session.to_msgpack().to_vec()
    });
    run("session", 3000, &seeds.collect::<Vec<_>>(), fuzzing::session);
}

#[test]
fn cluster_ops() {
    run("cluster_ops", 2000, &fuzz::sequences(200, 300), fuzzing::cluster_ops);
}
