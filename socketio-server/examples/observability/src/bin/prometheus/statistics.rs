//! The statistics of a server as metrics of Prometheus. Copy this file into your application.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use socketio_server::Server;

/// Reads the statistics of a server whenever Prometheus asks. Reading visits each session once.
#[derive(Debug)]
pub(crate) struct Statistics(pub(crate) Server);

impl Collector for Statistics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (engine, server) = (self.0.engine().stats(), self.0.stats());
        let mut page = Page(encoder);

        page.gauges("engineio_sessions", "Open sessions", "transport", engine.sessions.entries())?;
        page.gauge("engineio_queued_packets", "Packets that wait", engine.queued_packets)?;
        page.gauge("engineio_queued_bytes", "Bytes that wait", engine.queued_bytes)?;
        page.gauge("engineio_unwritten_bytes", "Bytes to be written", engine.unwritten_bytes)?;
        page.gauge("engineio_unread_bytes", "Bytes of incomplete messages", engine.unread_bytes)?;
        page.counter("engineio_opened", "Opened sessions", engine.opened)?;
        page.counter("engineio_upgraded", "Sessions that changed transport", engine.upgraded)?;
        page.counter("engineio_probes_failed", "Upgrades that failed", engine.probes_failed)?;
        page.counters("engineio_closed", "Sessions by end", "reason", engine.closed.entries())?;
        page.counters("engineio_refused", "Refused requests", "why", engine.refused.entries())?;
        let traffic = engine.traffic;
        let packets = [("in", traffic.packets_in), ("out", traffic.packets_out)];
        page.counters("engineio_packets", "Packets", "direction", packets)?;
        let bytes = [("in", traffic.bytes_in), ("out", traffic.bytes_out)];
        page.counters("engineio_bytes", "Bytes of packets", "direction", bytes)?;

        page.gauge("socketio_namespaces", "Namespaces", server.namespaces)?;
        page.gauge("socketio_sockets", "Connected sockets", server.sockets)?;
        page.gauge("socketio_rooms", "Rooms with sockets", server.rooms)?;
        page.counter("socketio_connected", "Connects", server.connected)?;
        page.counter("socketio_refused", "Refused connects", server.refused)?;
        let disconnected = server.disconnected.entries();
        page.counters("socketio_disconnected", "Sockets by end", "reason", disconnected)?;
        page.counters("socketio_events", "Events", "kind", server.events.entries())?;
        let handlers = server.handlers.entries().filter(|(what, _)| *what != "nanoseconds");
        page.counters("socketio_handlers", "Handlers and their results", "kind", handlers)?;
        page.seconds("socketio_handler", "Time of handlers", server.handlers.nanoseconds)?;
        page.gauge("socketio_inbox_events", "Events without a handler", server.inbox_events)?;
        page.gauge("socketio_inbox_bytes", "Size of these events", server.inbox_bytes)?;
        let unfinished = server.unfinished_bytes;
        page.gauge("socketio_unfinished_bytes", "Incomplete binary packets", unfinished)?;
        page.gauge("socketio_acks_pending", "Acks that are awaited", server.acks.pending())?;
        page.counters("socketio_acks", "Requested acks", "kind", server.acks.entries())?;
        page.counters("socketio_recoveries", "Recoveries", "kind", server.recoveries.entries())?;
        let log = server.recovery_log;
        page.gauge("socketio_recovery_log_events", "Events in the log", log.events)?;
        page.gauge("socketio_recovery_log_bytes", "Size of the log", log.bytes)?;
        page.gauge("socketio_recovery_log_sessions", "Sessions of absent clients", log.sessions)?;
        page.gauge("socketio_cluster_requests", "Pending requests", server.cluster_requests)?;
        page.counters("socketio_cluster", "Messages of nodes", "kind", server.cluster.entries())
    }
}

/// Writes metrics, each with its description. The encoder appends the unit and `_total`.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.value(name, help, None, ConstGauge::new(value))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.value(name, help, None, ConstCounter::new(value))
    }

    /// A counter of nanoseconds, in seconds.
    fn seconds(&mut self, name: &str, help: &str, nanoseconds: u64) -> fmt::Result {
        let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
        self.value(name, help, Some(&Unit::Seconds), ConstCounter::new(seconds))
    }

    fn gauges<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        self.family(name, help, label, values, ConstGauge::new)
    }

    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        self.family(name, help, label, values, ConstCounter::new)
    }

    fn value(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: impl EncodeMetric,
    ) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, unit, metric.metric_type())?)
    }

    /// One metric with a value for each value of a label.
    fn family<'v, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
        metric: fn(u64) -> M,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, metric(0).metric_type())?;
        for (value, count) in values {
            metric(count).encode(family.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }
}
