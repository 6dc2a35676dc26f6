//! `report_metrics` reports the values of `stats` to the facade, under the documented names.
#![cfg(feature = "metrics")]

#[path = "behaviour/support/reported.rs"]
mod reported;
#[path = "behaviour/support/mod.rs"]
mod support;

use engineio_server::EngineConfig;
use reported::reported;
use support::{Server, within};

#[tokio::test]
async fn counters_reach_the_metrics_facade() {
    let server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;
    within(server.request("GET", "EIO=4&transport=x", "")).await;

    let seen = reported("/engine.io/", || server.engine.report_metrics());
    for (name, count) in [
        ("engineio_sessions polling", 1),
        ("engineio_sessions websocket", 0),
        ("engineio_opened_total", 1),
        ("engineio_closed_total ping_timeout", 0),
        ("engineio_upgraded_total", 0),
        ("engineio_probes_failed_total", 0),
        ("engineio_packets_total out", 1),
        ("engineio_bytes_total in", 0),
        ("engineio_queued_packets", 0),
        ("engineio_queued_bytes", 0),
        ("engineio_unwritten_bytes", 0),
        ("engineio_unread_bytes", 0),
        ("engineio_refused_total unknown_transport", 1),
        ("engineio_refused_total queue_full", 0),
        ("engineio_at_work", 1),
    ] {
        assert_eq!(seen.get(name), Some(&count), "{name}");
    }
    drop(sid);
}
