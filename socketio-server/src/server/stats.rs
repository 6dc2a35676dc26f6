//! The statistics of a server.

use crate::server::Server;
use crate::stats::Stats;

impl Server {
    /// Returns a snapshot of the server's statistics. The snapshot costs a short lock per
    /// namespace, and the counting costs a few additions per event.
    ///
    /// ```
    /// # let io = socketio_server::Server::new();
    /// let stats = io.stats();
    /// println!("{} sockets in {} rooms", stats.sockets, stats.rooms);
    /// println!("{} of {} handlers failed", stats.handlers.failed, stats.handlers.started);
    /// println!("{} acks are awaited", stats.acks.pending());
    /// ```
    pub fn stats(&self) -> Stats {
        self.registry().stats()
    }

    /// Reports [`stats`](Self::stats) to the recorder of the `metrics` facade, and also the
    /// statistics of the engine ([`Engine::report_metrics`](crate::Engine::report_metrics)). Call
    /// this from a timer, or before each scrape. The server does not report by itself.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(io: socketio_server::Server) {
    /// let mut ticks = tokio::time::interval(Duration::from_secs(10));
    /// loop {
    ///     ticks.tick().await;
    ///     io.report_metrics();
    /// }
    /// # }
    /// ```
    ///
    /// Every metric has the label `path`, which is the path of the server.
    ///
    /// | metric | kind | further label |
    /// |---|---|---|
    /// | `socketio_namespaces`, `socketio_sockets`, `socketio_rooms` | gauge | |
    /// | `socketio_inbox_events`, `socketio_inbox_bytes`, `socketio_unfinished_bytes` | gauge | |
    /// | `socketio_connected_total`, `socketio_refused_total` | counter | |
    /// | `socketio_disconnected_total` | counter | `reason`: a field of [`DisconnectStats`](crate::DisconnectStats) |
    /// | `socketio_events_total` | counter | `kind`: a field of [`EventStats`](crate::EventStats) |
    /// | `socketio_handlers_total` | counter | `kind`: a field of [`HandlerStats`](crate::HandlerStats) except `nanoseconds` |
    /// | `socketio_handler_nanoseconds_total` | counter | |
    /// | `socketio_acks_total` | counter | `kind`: a field of [`AckStats`](crate::AckStats) |
    /// | `socketio_acks_pending` | gauge | |
    /// | `socketio_recoveries_total` | counter | `kind`: a field of [`RecoveryStats`](crate::RecoveryStats) |
    /// | `socketio_recovery_log_events`, `socketio_recovery_log_bytes`, `socketio_recovery_log_sessions` | gauge | |
    /// | `socketio_cluster_total` | counter | `kind`: a field of [`ClusterStats`](crate::ClusterStats) |
    /// | `socketio_cluster_requests` | gauge | |
    #[cfg(feature = "metrics")]
    pub fn report_metrics(&self) {
        self.engine().report_metrics();
        self.stats().report(self.path());
    }
}
