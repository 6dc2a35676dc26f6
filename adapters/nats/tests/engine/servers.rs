//! Servers whose clients return while JetStream stops and comes back.

use engines::Nats;
use socketio_adapter_nats::JetStream;
use socketio_server::{Recovery, Server, ServerConfig, Socket, testing::TestClient};

use crate::{
    log::logging,
    suite::{HANG, until, within},
};

async fn server(engine: &Nats) -> Server {
    let config = ServerConfig::default()
        .adapter(logging(engine, JetStream::default()).await)
        .connection_state_recovery(Recovery::default());
    let io = Server::with_config(config);
    io.on_connection(|socket: Socket| async move { socket.join("room").unwrap() });
    within(io.joined()).await;
    io
}

async fn client(io: &Server) -> TestClient {
    let mut client = TestClient::connect(io, "/", &()).await.unwrap();
    client.set_timeout(HANG);
    client
}

/// Emits events until the client receives one.
async fn until_received(io: &Server, client: &mut TestClient, tag: &str) {
    for n in 0.. {
        let event = format!("{tag}{n}");
        io.emit(&event, &()).unwrap();
        let heard = async { while client.next().await.unwrap().event() != event {} };
        if tokio::time::timeout(std::time::Duration::from_millis(300), heard).await.is_ok() {
            return;
        }
        assert!(n < 100);
    }
}

#[tokio::test]
async fn clients_are_served_while_jetstream_is_down() {
    let engine = Nats::with_jetstream().unwrap();
    let (one, two) = (server(&engine).await, server(&engine).await);
    let (mut here, mut there) = (client(&one).await, client(&two).await);
    one.to("room").emit("both", &1).unwrap();
    for client in [&mut here, &mut there] {
        assert_eq!(client.expect::<u8>("both").await.unwrap(), 1);
    }

    // The client returns and gets the event that the other server emitted in the meantime.
    here.drop_connection();
    two.to("room").emit("missed", &2).unwrap();
    there.expect::<u8>("missed").await.unwrap();
    here.reconnect().await.unwrap();
    assert!(here.recovered());
    assert_eq!(here.expect::<u8>("missed").await.unwrap(), 2);

    engine.kill().unwrap();
    one.emit("alone", &3).unwrap();
    assert_eq!(here.expect::<u8>("alone").await.unwrap(), 3);
    until(|| async { one.stats().cluster.lost > 0 }).await;
    here.drop_connection();
    here.reconnect().await.unwrap();
    assert!(!here.recovered(), "the session could not be stored");

    engine.restart().unwrap();
    until_received(&one, &mut there, "again").await;
    until_received(&two, &mut here, "here").await;
    here.drop_connection();
    two.to("room").emit("missed", &4).unwrap();
    here.reconnect().await.unwrap();
    assert!(here.recovered());
    assert_eq!(here.expect::<u8>("missed").await.unwrap(), 4);
}
