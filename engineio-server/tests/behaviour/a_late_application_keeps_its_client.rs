//! If the application polls late, the session must read what has arrived before it judges the
//! client's silence.

use crate::support;

use std::time::Duration;

use engineio_server::{Data, EngineConfig};
use support::{Server, poll_once, within};

#[tokio::test]
async fn a_late_application_keeps_its_client() {
    let config = EngineConfig::default()
        .ping_interval(Duration::from_millis(20))
        .ping_timeout(Duration::from_millis(500));
    let (server, mut connections) = Server::manual(config).await;
    let mut websocket = server.connect("EIO=4&transport=websocket").await.unwrap();
    let mut connection = within(connections.recv()).await.unwrap();
    tokio::select! {
        () = async { while websocket.text().await != "2" {} } => {}
        event = connection.event() => panic!("{event:?}"),
    }
    websocket.send("3").await;
    websocket.send("4here").await;

    // The application is busy for longer than the client may be silent.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(within(connection.recv()).await, Ok(Data::Text("here".into())));
    assert!(poll_once(&mut Box::pin(connection.event())).await.is_none(), "the session lives");
}
