//! The conformance suite of all adapters: with a subject per room, without, and with a log.

use std::sync::Arc;

use engines::Nats;
use socketio_adapter::ClusterAdapter;
use socketio_adapter_nats::{JetStream, NatsAdapter, NatsConfig};

use crate::{config, suite::Servers};

async fn servers(engine: Nats, with: impl Fn(NatsConfig) -> NatsConfig) -> (Servers, Nats) {
    let mut adapters = Vec::new();
    for _ in 0..3 {
        let config = with(config(&engine).await);
        adapters.push(NatsAdapter::new(config).unwrap());
    }
    let reaching = adapters.clone();
    let adapters = adapters.into_iter().map(|it| it as Arc<dyn ClusterAdapter>).collect();
    let reaches = move |server: usize, nsp: &str, room: &str| reaching[server].receives(nsp, room);
    (Servers::new(adapters, Arc::new(reaches)).await, engine)
}

async fn with_room_subjects() -> (Servers, Nats) {
    servers(Nats::start().unwrap(), |config| config).await
}

async fn without_room_subjects() -> (Servers, Nats) {
    servers(Nats::start().unwrap(), |config| config.room_subjects(false)).await
}

async fn with_a_log() -> (Servers, Nats) {
    let engine = Nats::with_jetstream().unwrap();
    servers(engine, |config| config.connection_state_recovery(JetStream::default())).await
}

mod one_subject_per_room {
    crate::conformance_suite!(super::with_room_subjects);
}

mod one_subject_for_all {
    crate::conformance_suite!(super::without_room_subjects);
}

mod events_in_a_stream {
    crate::conformance_suite!(super::with_a_log);
}
