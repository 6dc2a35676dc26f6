//! The engine against this project's server, over in-memory streams and under a paused clock.

mod ends;
mod hostile;
mod limits;
mod network;
mod paused;
mod proxies;
mod requests;
#[cfg(feature = "rustls")]
mod secure;
mod separate_packets;
mod sessions;
mod sleep;
mod upgrades;
#[cfg(feature = "webtransport")]
mod webtransport;

use std::{future::poll_fn, sync::Arc, time::Duration};

use engineio_parser::{Frame, Frames, PacketData, PacketType, Transport, session::CloseReason};

use self::network::Network;
use super::{Closed, Engine, EngineConfig, EngineError, EngineEvent, EngineOptions};

/// Longer than any deadline in these tests.
const HANG: Duration = Duration::from_secs(1000);

fn options() -> EngineOptions {
    EngineOptions::new().path("/engine.io")
}

fn engine_config(url: &str, options: &EngineOptions) -> Result<EngineConfig, EngineError> {
    EngineConfig::new(url, &Arc::new(options.clone()))
}

fn only(via: Transport) -> EngineOptions {
    options().transports([via])
}

async fn open(network: &Network, options: EngineOptions) -> Engine {
    try_open(network, options).await.unwrap()
}

async fn try_open(network: &Network, options: EngineOptions) -> Result<Engine, EngineError> {
    let config = engine_config("http://server", &options.connector(network.connector()))?;
    tokio::time::timeout(HANG, Engine::open(&config)).await.unwrap()
}

async fn event(engine: &mut Engine) -> EngineEvent {
    tokio::time::timeout(HANG, poll_fn(|cx| engine.poll_event(cx))).await.unwrap()
}

/// Returns the next message and skips pings and upgrades.
async fn message(engine: &mut Engine) -> PacketData {
    loop {
        match event(engine).await {
            EngineEvent::Message(data) => return data,
            EngineEvent::Closed(closed) => panic!("{closed:?}"),
            EngineEvent::Opened | EngineEvent::Upgraded(_) | EngineEvent::Ping => {}
        }
    }
}

async fn closed(engine: &mut Engine) -> Closed {
    loop {
        if let EngineEvent::Closed(closed) = event(engine).await {
            return closed;
        }
    }
}

async fn upgraded(engine: &mut Engine) {
    match event(engine).await {
        EngineEvent::Upgraded(Transport::WebSocket) => {}
        event => panic!("{event:?}"),
    }
}

fn text(text: &str) -> Frames {
    Frame::text(PacketType::Message, text).into()
}

fn reason(closed: &Closed) -> CloseReason {
    closed.reason
}
