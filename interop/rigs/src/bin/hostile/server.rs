//! The server under attack: default limits, but deadlines of a few seconds. Node's server
//! (`interop/servers/hostile.mjs`) has the same handlers and deadlines.

use std::io;

use engineio_server::PerMessageDeflate;
use rigs::counted::{DEADLINE, counters, deadlines, report};
use serde_json::{Map, Value, json};
use socketio_server::{Ack, Data, Server, ServerConfig, Socket, Values};

/// Runs the server on one thread, as Node's, so that the CPU times can be compared.
pub(crate) fn run() -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Longer than the ping timeout of a silent client. A polling session that is closed earlier
    // waits 30 s for its client to fetch the close packet, as in Node.
    let config = ServerConfig::default()
        .engine(|engine| deadlines(engine).per_message_deflate(PerMessageDeflate::default()))
        .connect_timeout(2 * DEADLINE);
    let io = Server::with_config(config);
    io.on("echo", |socket: Socket, Data(values): Data<Values>| async move {
        socket.emit("echo", &values)?;
        Ok(())
    });
    io.on("ack", |Data(values): Data<Values>| async move { values });
    io.on("value", |Data(_): Data<socketio_server::Value>| async {});
    io.on("join", |socket: Socket, Data(room): Data<String>, ack: Ack| async move {
        socket.join(room)?;
        ack.send(&())?;
        Ok(())
    });
    let listening = runtime.block_on(io.bind(("127.0.0.1", 0)))?;
    let engines = [io.engine().clone()];
    report(listening.local_addr()?.port(), || {
        let mut counters = counters(&engines, runtime.handle())?;
        let stats = io.stats();
        counters["dropped"] = group(listening.stats().entries());
        counters["events"] = group(stats.events.entries());
        counters["acks"] = group(stats.acks.entries());
        counters["handlers"] = group(stats.handlers.entries());
        counters["refused_connects"] = json!(stats.refused);
        counters["rooms"] = json!(stats.rooms);
        counters["sockets"] = json!(stats.sockets);
        Ok(counters)
    })
}

fn group(entries: impl Iterator<Item = (&'static str, u64)>) -> Value {
    entries.map(|(name, count)| (name.to_owned(), json!(count))).collect::<Map<_, _>>().into()
}
