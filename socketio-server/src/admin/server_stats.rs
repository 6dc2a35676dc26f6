//! The statistics of a server for the Admin UI.

use std::time::Instant;

use engineio_server::{Engine, Stats, internal::weak_stats};
use socketio_parser::{Value, value};

use super::{default_server_id, now};
use crate::namespace::registry::Registry;

pub(super) struct ServerStats {
    server_id: String,
    hostname: String,
    started: Instant,
    /// Reads the statistics of the engine. It must not keep the engine alive, which owns the server.
    read: Box<dyn Fn() -> Option<Stats> + Send + Sync>,
    /// The statistics at the last report.
    last: Stats,
}

impl ServerStats {
    pub(super) fn new(server_id: Option<String>, engine: &Engine) -> Self {
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        let server_id = server_id.unwrap_or_else(|| default_server_id(&hostname));
        let (started, last, read) = (Instant::now(), engine.stats(), Box::new(weak_stats(engine)));
        Self { server_id, hostname, started, read, last }
    }

    /// Returns the next report, whose events are those since the former one. Returns `None` if the
    /// engine is gone.
    pub(super) fn next(&mut self, registry: &Registry) -> Option<Value> {
        let stats = (self.read)()?;
        let events = aggregated(&self.last, &stats);
        let clients = stats.sessions.total();
        let polling = stats.sessions.polling;
        self.last = stats;
        let namespaces: Vec<Value> = registry
            .namespaces()
            .iter()
            .map(|it| value!({ "name": it.name(), "socketsCount": it.sockets_count() as u64 }))
            .collect();
        Some(value!({
            "serverId": self.server_id.as_str(),
            "hostname": self.hostname.as_str(),
            "pid": std::process::id(),
            "uptime": self.started.elapsed().as_secs_f64(),
            "clientsCount": clients,
            "pollingClientsCount": polling,
            "aggregatedEvents": events,
            "namespaces": namespaces
        }))
    }
}

/// Returns what happened between two reports, as counts. The page groups them by 10 seconds.
fn aggregated(before: &Stats, after: &Stats) -> Vec<Value> {
    let second = now() / 1000 * 1000;
    let (was, is) = (&before.traffic, &after.traffic);
    let counts = [
        ("rawConnection", before.opened, after.opened),
        ("packetsIn", was.packets_in, is.packets_in),
        ("packetsOut", was.packets_out, is.packets_out),
        ("bytesIn", was.bytes_in, is.bytes_in),
        ("bytesOut", was.bytes_out, is.bytes_out),
    ];
    let mut events = Vec::new();
    for (kind, before, after) in counts {
        if after > before {
            events.push(value!({ "timestamp": second, "type": kind, "count": after - before }));
        }
    }
    for ((reason, before), (_, after)) in before.closed.entries().zip(after.closed.entries()) {
        if after > before {
            events.push(value!({
                "timestamp": second,
                "type": "rawDisconnection",
                "subType": reason.replace('_', " "),
                "count": after - before
            }));
        }
    }
    events
}
