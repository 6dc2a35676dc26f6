//! The conformance suite of all adapters.

use std::sync::Arc;

use engines::Mongo;
use socketio_adapter::ClusterAdapter;

use crate::{adapter, conformance_suite, suite::Servers};

async fn servers() -> (Servers, Mongo) {
    let engine = Mongo::start().unwrap();
    let mut adapters = Vec::new();
    for _ in 0..3 {
        adapters.push(adapter(&engine).await as Arc<dyn ClusterAdapter>);
    }
    (Servers::new(adapters, Arc::new(|_, _, _| true)).await, engine)
}

conformance_suite!(servers);
