//! Reports the statistics to the `metrics` facade.

use metrics::{counter, gauge};

use crate::stats::Stats;

impl Stats {
    /// Reports all values to the recorder of the `metrics` facade, with `path` as a label.
    pub(crate) fn report(&self, path: &str) {
        let path = path.to_owned();
        for (name, count) in [
            ("socketio_namespaces", self.namespaces),
            ("socketio_sockets", self.sockets),
            ("socketio_rooms", self.rooms),
            ("socketio_inbox_events", self.inbox_events),
            ("socketio_inbox_bytes", self.inbox_bytes),
            ("socketio_unfinished_bytes", self.unfinished_bytes),
            ("socketio_acks_pending", self.acks.pending()),
            ("socketio_recovery_log_events", self.recovery_log.events),
            ("socketio_recovery_log_bytes", self.recovery_log.bytes),
            ("socketio_recovery_log_sessions", self.recovery_log.sessions),
            ("socketio_cluster_requests", self.cluster_requests),
        ] {
            gauge!(name, "path" => path.clone()).set(count as f64);
        }
        for (name, count) in [
            ("socketio_connected_total", self.connected),
            ("socketio_refused_total", self.refused),
            ("socketio_handler_nanoseconds_total", self.handlers.nanoseconds),
        ] {
            counter!(name, "path" => path.clone()).absolute(count);
        }
        for (reason, count) in self.disconnected.entries() {
            counter!("socketio_disconnected_total", "path" => path.clone(), "reason" => reason)
                .absolute(count);
        }
        let group = |name: &'static str, kind: &'static str, count: u64| {
            counter!(name, "path" => path.clone(), "kind" => kind).absolute(count);
        };
        let handlers = self.handlers.entries().filter(|(kind, _)| *kind != "nanoseconds");
        self.events.entries().for_each(|(kind, n)| group("socketio_events_total", kind, n));
        handlers.for_each(|(kind, n)| group("socketio_handlers_total", kind, n));
        self.acks.entries().for_each(|(kind, n)| group("socketio_acks_total", kind, n));
        self.recoveries.entries().for_each(|(kind, n)| group("socketio_recoveries_total", kind, n));
        self.cluster.entries().for_each(|(kind, n)| group("socketio_cluster_total", kind, n));
    }
}
