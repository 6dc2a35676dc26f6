//! A server whose statistics Prometheus reads. Run it with `cargo run -p observability --bin prometheus`,
//! then look at <http://127.0.0.1:9464/metrics>. `prometheus.yml`, `alerts.yml` and `grafana.json` beside
//! `Cargo.toml` are the configuration, the alerts and the dashboard for it.
//!
//! Environment: `PORT` (3000), `METRICS_PORT` (9464).
//!
//! The metrics have a listener of their own, so that the port of the application does not show them.

mod statistics;

use std::{env, net::Ipv4Addr, sync::Arc};

use axum::{Router, http::header, routing::get};
use prometheus_client::{encoding::text, registry::Registry};
use socketio_server::{Data, HandlerError, Recovery, Server, ServerConfig, Socket};
use tokio::net::TcpListener;

use self::statistics::Statistics;

/// The content type of the text format of OpenMetrics, which Prometheus understands.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ServerConfig::default()
        .measure_handlers(true) // two readings of the clock per handler
        .connection_state_recovery(Recovery::default());
    let io = Server::with_config(config);
    io.on("say", |socket: Socket, Data(text): Data<String>| async move {
        socket.broadcast().emit("said", &text)?;
        Ok::<_, HandlerError>(text.len())
    });

    let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, port("METRICS_PORT", 9464)?)).await?;
    let listening = io.bind((Ipv4Addr::LOCALHOST, port("PORT", 3000)?)).await?;
    println!("listening on http://{}", listening.local_addr()?);
    println!("metrics at http://{}/metrics", metrics.local_addr()?);
    axum::serve(metrics, exporter(&io)).await?;
    Ok(())
}

/// The page that Prometheus reads.
fn exporter(io: &Server) -> Router {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Statistics(io.clone())));
    let registry = Arc::new(registry);
    Router::new().route(
        "/metrics",
        get(move || async move {
            let mut page = String::new();
            // Writing into a String does not fail.
            let _ = text::encode(&mut page, &registry);
            ([(header::CONTENT_TYPE, OPEN_METRICS)], page)
        }),
    )
}

fn port(variable: &str, default: u16) -> Result<u16, std::num::ParseIntError> {
    env::var(variable).map_or(Ok(default), |port| port.parse())
}
