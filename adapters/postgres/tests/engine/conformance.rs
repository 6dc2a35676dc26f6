//! The conformance suite of all adapters.

use std::sync::Arc;

use engines::Postgres;
use socketio_adapter::ClusterAdapter;

use crate::{adapter, conformance_suite, suite::Servers};

async fn servers() -> (Servers, Postgres) {
    let engine = Postgres::start().unwrap();
    let adapters = (0..3).map(|_| adapter(&engine) as Arc<dyn ClusterAdapter>).collect();
    (Servers::new(adapters, Arc::new(|_, _, _| true)).await, engine)
}

conformance_suite!(servers);
