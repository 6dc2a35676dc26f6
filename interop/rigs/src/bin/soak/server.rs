//! The server: Socket.IO and an Engine.IO echo server, both with short deadlines.

use std::io;

use engineio_server::{Connection, Engine, EngineConfig, EngineService, serve};
use rigs::counted::{DEADLINE, counters, deadlines, report};
use socketio_server::{Args, Server, ServerConfig, Socket};
use stats_alloc::INSTRUMENTED_SYSTEM;
use tokio::net::TcpListener;
use tower_layer::Layer;

pub(crate) fn run() -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (engines, port) = runtime.block_on(start())?;
    report(port, || {
        let mut counters = counters(&engines, runtime.handle())?;
        let heap = INSTRUMENTED_SYSTEM.stats();
        let bytes = heap.bytes_allocated.saturating_sub(heap.bytes_deallocated);
        counters["heap_kib"] = (bytes / 1024).into();
        Ok(counters)
    })
}

fn limits(config: EngineConfig) -> EngineConfig {
    deadlines(config).max_payload(20_000).max_queued_packets(64).max_fragments(64).allow_eio3(true)
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
