//! The conformance suite of all adapters, with and without a log.

use std::sync::Arc;

use engines::Postgres;
use socketio_adapter::ClusterAdapter;
use socketio_adapter_postgres::{EventLog, PostgresAdapter, PostgresConfig};

use crate::{config, suite::Servers};

async fn servers(with: impl Fn(PostgresConfig) -> PostgresConfig) -> (Servers, Postgres) {
    let engine = Postgres::start().unwrap();
    let adapter = |_| PostgresAdapter::new(with(config(&engine))).unwrap();
    let adapters = (0..3).map(adapter).map(|it| it as Arc<dyn ClusterAdapter>).collect();
    (Servers::new(adapters, Arc::new(|_, _, _| true)).await, engine)
}

async fn without_a_log() -> (Servers, Postgres) {
    servers(|config| config).await
}

async fn with_a_log() -> (Servers, Postgres) {
    servers(|config| config.connection_state_recovery(EventLog::default())).await
}

mod notifications {
    crate::conformance_suite!(super::without_a_log);
}

mod events_in_a_table {
    crate::conformance_suite!(super::with_a_log);
}
