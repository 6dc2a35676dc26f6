//! The suite that every back-end passes, with a subject for each room and without.

use std::sync::Arc;

use engines::Nats;
use socketio_adapter::ClusterAdapter;
use socketio_adapter_nats::NatsAdapter;

use crate::{config, suite::Servers};

async fn servers(room_subjects: bool) -> (Servers, Nats) {
    let engine = Nats::start().unwrap();
    let mut adapters = Vec::new();
    for _ in 0..3 {
        let config = config(&engine).await.room_subjects(room_subjects);
        adapters.push(NatsAdapter::new(config).unwrap());
    }
    let reaching = adapters.clone();
    let adapters = adapters.into_iter().map(|it| it as Arc<dyn ClusterAdapter>).collect();
    let reaches = move |server: usize, nsp: &str, room: &str| reaching[server].hears(nsp, room);
    (Servers::new(adapters, Arc::new(reaches)).await, engine)
}

async fn with_rooms() -> (Servers, Nats) {
    servers(true).await
}

async fn without_rooms() -> (Servers, Nats) {
    servers(false).await
}

mod a_subject_for_each_room {
    crate::conformance_suite!(super::with_rooms);
}

mod one_subject_for_all {
    crate::conformance_suite!(super::without_rooms);
}
