//! Messages of a client do not accumulate if the application does not receive them.

use crate::support;

use engineio_server::{EngineConfig, Event, PacketData, Unsent};
use support::{Server, waiting, within};

#[tokio::test]
async fn the_next_push_waits_until_the_previous_one_was_received() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    within(server.post(&sid, "4a")).await.is(200, "ok");
    let second = waiting(server.post(&sid, "4b")).await;

    assert_eq!(connection.recv().await, Ok(PacketData::Text("a".into())));
    let both = async { tokio::join!(second, connection.recv()) };
    let (answer, message) = within(both).await;
    answer.is(200, "ok");
    assert_eq!(message, Ok(PacketData::Text("b".into())));
}

#[tokio::test]
async fn a_push_of_very_many_packets_is_delivered_in_batches() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    let push = waiting(server.post(&sid, vec!["4"; 100_000].join("\x1e"))).await;

    let receive = async {
        for _ in 0..100_000 {
            assert_eq!(connection.recv().await, Ok(PacketData::Text("".into())));
        }
    };
    within(async { tokio::join!(push, receive) }).await.0.is(200, "ok");
}

#[tokio::test]
async fn a_push_that_waits_is_answered_when_the_session_ends() {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    within(server.post(&sid, "4a")).await.is(200, "ok");
    let second = waiting(server.post(&sid, "4b")).await;

    connection.handle().close(Unsent::Discard);
    assert_eq!(connection.event().await, Event::Message(PacketData::Text("a".into())));
    assert!(matches!(connection.event().await, Event::Closed(_)));
    within(second).await;
}
