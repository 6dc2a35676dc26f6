//! Clients that print which events they receive, for the rehearsal of rolling deploys.
//! `interop/lib/receivers.mjs` starts them, and does the same with Node's client.
//!
//! Arguments: URL, number of clients, and the shortest and the longest delay before a reconnection
//! in ms. Prints one line of JSON for each connection
//! (`{"client":0,"id":"…","recovered":false,"at":…}`) and each event `n`
//! (`{"client":0,"id":"…","n":17,"at":…}`), with the time in ms since 1970. The line
//! `network changed` on the standard input abandons all connections. The program ends with its
//! standard input.

use std::{
    env,
    error::Error,
    io::BufRead,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use socketio_client::{ClientConfig, Data, Manager, Reconnection, Socket, Transport};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, count, delay, delay_max] = &args[..] else {
        return Err("usage: receivers URL CLIENTS DELAY_MS DELAY_MAX_MS".into());
    };
    let ms = |text: &str| text.parse().map(Duration::from_millis);
    let reconnection = Reconnection::default().delay(ms(delay)?).delay_max(ms(delay_max)?);
    let config = ClientConfig::default()
        .reconnection(reconnection)
        .engine(|engine| engine.transports([Transport::WebSocket]));
    let mut managers = Vec::new();
    for client in 0..count.parse::<usize>()? {
        let manager = Manager::with_config(url, config.clone())?;
        let socket = manager.socket("/");
        socket.on_connect(move |socket: Socket| {
            print(client, &socket, "recovered", socket.is_recovered().into());
            async {}
        });
        socket.on("n", move |socket: Socket, Data(n): Data<u64>| {
            print(client, &socket, "n", n.into());
            async {}
        });
        socket.open();
        managers.push(manager);
    }
    let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    while let Some(line) = changes.recv().await {
        if line == "network changed" {
            managers.iter().for_each(Manager::network_changed);
        }
    }
    Ok(())
}

fn print(client: usize, socket: &Socket, name: &str, value: Value) {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut line = json!({ "client": client, "id": socket.id(), "at": at });
    line[name] = value;
    println!("{line}");
}
