//! Protocol: "HTTP long-polling". Payloads of revision 4 in both directions.

use crate::support;

use engineio_server::EngineConfig;
use support::{Server, text, within};

#[tokio::test]
async fn several_packets_travel_in_one_body() {
    let mut server = Server::echo(EngineConfig::default()).await;
    let sid = server.open().await;

    let answer = within(server.post(&sid, "4hello")).await;
    answer.is(200, "ok");
    assert_eq!(answer.header("content-type"), "text/html");
    assert_eq!(answer.header("cache-control"), "no-store");
    server.event().await;
    let answer = within(server.get(&sid)).await;
    answer.is(200, "4hello");
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    assert_eq!(answer.header("cache-control"), "no-store");

    let body = "4one\x1e4two €\x1ebAQIDBA==\x1e4\x1e4last";
    within(server.post(&sid, body)).await.is(200, "ok");
    while server.event().await != text("last") {}
    within(server.get(&sid)).await.is(200, body);
}

#[tokio::test]
async fn a_body_exceeds_max_payload_only_if_its_first_packet_does() {
    let (server, mut connections) = Server::manual(EngineConfig::default().max_payload(10)).await;
    let sid = server.open().await;
    let connection = connections.recv().await.unwrap();
    for message in ["1234", "5678", "90", "a long message"] {
        connection.send(message).unwrap();
    }
    for body in ["41234", "45678\x1e490", "4a long message"] {
        within(server.get(&sid)).await.is(200, body);
    }
}
