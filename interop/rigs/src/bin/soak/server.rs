//! The server: Socket.IO and an Engine.IO echo server, both with short deadlines.

use std::{
    fs,
    io::{self, BufRead, Write},
    time::Duration,
};

use engineio_server::{Connection, Engine, EngineConfig, EngineService, serve};
use serde_json::{Map, Value, json};
use socketio_server::{Args, Server, ServerConfig, Socket};
use tokio::{net::TcpListener, runtime::Handle};
use tower_layer::Layer;

/// Long enough for a well-behaved client on a busy machine.
const DEADLINE: Duration = Duration::from_secs(4);

pub(crate) fn run() -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (engines, port) = runtime.block_on(start())?;
    let mut output = io::stdout().lock();
    writeln!(output, "LISTENING on port {port}")?;
    // Each line requests the counters. The server ends with its input.
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(output, "{}", stats(&engines, runtime.handle())?)?;
    }
    Ok(())
}

fn limits(config: EngineConfig) -> EngineConfig {
    config
        .ping_interval(Duration::from_secs(2))
        .ping_timeout(DEADLINE)
        .upgrade_timeout(DEADLINE)
        .head_timeout(DEADLINE)
        .body_timeout(DEADLINE)
        .write_timeout(DEADLINE)
        .linger(Duration::from_millis(500))
        .max_payload(20_000)
        .max_queued_packets(64)
        .max_fragments(64)
        .allow_eio3(true)
}

async fn start() -> io::Result<(Vec<Engine>, u16)> {
    let echo =
        Engine::new(limits(EngineConfig::default()), |mut connection: Connection| async move {
            while let Ok(data) = connection.recv().await {
                if connection.send(data).is_err() {
                    break; // it reads too slowly
                }
            }
        });
    // Longer than the ping timeout of a silent client. A polling session that is closed earlier
    // waits 30 s for its client to fetch the close packet, as in Node.
    let config = ServerConfig::default()
        .engine(limits)
        .connect_timeout(2 * DEADLINE)
        .max_inbox_bytes(200_000);
    let io = Server::with_config(config);
    io.on_connection(|socket: Socket| async move {
        socket.join("everybody")?;
        Ok(())
    });
    io.on("echo", |socket: Socket, args: Args| async move {
        socket.emit("echo", &args)?;
        Ok(())
    });
    io.on("watch", |socket: Socket, _: Args| async move {
        socket.disconnected().await;
    });
    let server = io.clone();
    io.on("cast", move |args: Args| {
        let server = server.clone();
        async move {
            server.to("everybody").volatile().emit("cast", &args)?;
            Ok(())
        }
    });
    let service: EngineService<EngineService> = io.layer().layer(echo.service());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    serve(listener, service, echo.config());
    Ok((vec![io.engine().clone(), echo], port))
}

/// Returns the sums over both engines, and the resource usage of the process.
fn stats(engines: &[Engine], runtime: &Handle) -> io::Result<Value> {
    let stats: Vec<_> = engines.iter().map(Engine::stats).collect();
    let sum = |of: &dyn Fn(&engineio_server::Stats) -> u64| stats.iter().map(of).sum::<u64>();
    let mut closed = Map::new();
    let mut refused = Map::new();
    for stats in &stats {
        let groups = [(&mut closed, stats.closed.entries().collect::<Vec<_>>())];
        let groups = groups.into_iter().chain([(&mut refused, stats.refused.entries().collect())]);
        for (group, entries) in groups {
            for (name, count) in entries {
                let before = group.get(name).and_then(Value::as_u64).unwrap_or_default();
                group.insert(name.to_owned(), json!(before + count));
            }
        }
    }
    Ok(json!({
        "sessions": sum(&|stats| stats.sessions.total()),
        "at_work": sum(&|stats| stats.at_work),
        "opened": sum(&|stats| stats.opened),
        "upgraded": sum(&|stats| stats.upgraded),
        "probes_failed": sum(&|stats| stats.probes_failed),
        "packets_in": sum(&|stats| stats.traffic.packets_in),
        "packets_out": sum(&|stats| stats.traffic.packets_out),
        "closed": closed,
        "refused": refused,
        "tasks": runtime.metrics().num_alive_tasks(),
        "descriptors": fs::read_dir("/proc/self/fd")?.count(),
        "rss_kib": resident_kib()?,
    }))
}

fn resident_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().unwrap_or_default();
    kib.parse().map_err(io::Error::other)
}
