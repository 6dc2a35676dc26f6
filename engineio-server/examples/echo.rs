//! A plain Engine.IO echo server: `PORT=3000 cargo run -p engineio-server --example echo`.

use engineio_server::{Connection, Engine, EngineConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let engine = Engine::new(EngineConfig::default(), |mut connection: Connection| async move {
        while let Ok(data) = connection.recv().await {
            if connection.send(data).is_err() {
                break;
            }
        }
    });
    let listening = engine.listen(("127.0.0.1", port)).await?;
    println!("LISTENING on {}", listening.local_addr()?);
    listening.join().await;
    Ok(())
}
