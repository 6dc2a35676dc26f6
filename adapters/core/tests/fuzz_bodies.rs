//! The fuzz bodies hold for mutated messages of every type, and for any sequence of operations.

mod common;

use fuzz::run;
use socketio_adapter::fuzzing;

#[test]
fn message() {
    let messages = common::all();
    let json = messages.iter().map(|message| message.encode().to_vec());
    let msgpack = messages.iter().map(|message| message.to_msgpack().to_vec());
    run("message", 3000, &json.chain(msgpack).collect::<Vec<_>>(), fuzzing::message);
}

#[test]
fn cluster_ops() {
    run("cluster_ops", 2000, &fuzz::sequences(200, 300), fuzzing::cluster_ops);
}
