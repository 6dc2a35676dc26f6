//! Reports the statistics to the `metrics` facade.

use metrics::{counter, gauge};

use super::Stats;

impl Stats {
    /// Reports all values to the recorder of the `metrics` facade, with `path` as a label.
    pub(crate) fn report(&self, path: &str) {
        let path = path.to_owned();
        for (transport, count) in self.sessions.entries() {
            gauge!("engineio_sessions", "path" => path.clone(), "transport" => transport)
                .set(count as f64);
        }
        for (reason, count) in self.closed.entries() {
            counter!("engineio_closed_total", "path" => path.clone(), "reason" => reason)
                .absolute(count);
        }
        for (why, count) in self.refused.entries() {
            counter!("engineio_refused_total", "path" => path.clone(), "why" => why)
                .absolute(count);
        }
        let traffic = &self.traffic;
        for (direction, packets, bytes) in [
            ("in", traffic.packets_in, traffic.bytes_in),
            ("out", traffic.packets_out, traffic.bytes_out),
        ] {
            counter!("engineio_packets_total", "path" => path.clone(), "direction" => direction)
                .absolute(packets);
            counter!("engineio_bytes_total", "path" => path.clone(), "direction" => direction)
                .absolute(bytes);
        }
        for (name, count) in [
            ("engineio_opened_total", self.opened),
            ("engineio_upgraded_total", self.upgraded),
            ("engineio_probes_failed_total", self.probes_failed),
        ] {
            counter!(name, "path" => path.clone()).absolute(count);
        }
        for (name, count) in [
            ("engineio_queued_packets", self.queued_packets),
            ("engineio_queued_bytes", self.queued_bytes),
            ("engineio_unwritten_bytes", self.unwritten_bytes),
            ("engineio_unread_bytes", self.unread_bytes),
            ("engineio_at_work", self.at_work),
        ] {
            gauge!(name, "path" => path.clone()).set(count as f64);
        }
    }
}
