//! Emitters on real engines, with servers whose clients receive the messages.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use engines::{Nats, Postgres, Redis};
use socketio_adapter::ClusterAdapter;
use socketio_emitter::{
    EmitError, Emitter,
    nats::{JetStream, NatsAdapter, NatsConfig, async_nats::Client, connect_options},
    postgres::{PostgresAdapter, PostgresConfig},
    redis::RedisAdapter,
};
use socketio_parser::Binary;
use socketio_server::{Server, ServerConfig, ServerEvent, Socket, testing::TestClient};
use tokio::sync::mpsc;

const TIMEOUT: Duration = Duration::from_secs(120);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.unwrap()
}

/// A server, and the server-side events that it receives.
async fn server(adapter: Arc<dyn ClusterAdapter>) -> (Server, mpsc::UnboundedReceiver<String>) {
    let io = Server::with_config(ServerConfig::default().adapter(adapter));
    let (sender, received) = mpsc::unbounded_channel();
    for nsp in ["/", "/chat"] {
        io.of(nsp).on_connection(|socket: Socket| async move {
            let _ = socket.join("room");
        });
    }
    io.of("/").on_any_server_side(move |event: ServerEvent| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(format!("{} {}", event.event(), event.args().raw()));
            Ok(())
        }
    });
    within(io.joined()).await;
    (io, received)
}

/// Every operation of an emitter reaches the selected clients of the server.
async fn check_operations(emitter: &Emitter, adapter: Arc<dyn ClusterAdapter>) {
    let (io, mut server_events) = server(adapter).await;
    let mut client = TestClient::connect(&io, "/", &()).await.unwrap();
    let mut chat = TestClient::connect(&io, "/chat", &()).await.unwrap();
    client.set_timeout(TIMEOUT);
    chat.set_timeout(TIMEOUT);
    // With a subject per room, a client gets the room's messages only a moment after it has joined.
    while emitter.to("room").emit("ready", &()).await.is_ok() {
        let ready = tokio::time::timeout(Duration::from_millis(100), client.next()).await;
        if ready.is_ok() {
            break;
        }
    }
    // Each "ready" that is late arrives before the fence.
    emitter.emit("fence", &()).await.unwrap();
    while within(client.next()).await.unwrap().event() != "fence" {}

    emitter.to("room").except(chat.id()).emit("plain", &(1, "é")).await.unwrap();
    assert_eq!(client.expect::<(u8, String)>("plain").await.unwrap(), (1, "é".into()));
    emitter.to("nobody").emit("missed", &()).await.unwrap();
    emitter.except("room").emit("missed", &()).await.unwrap();
    emitter.compress(false).emit("binary", &Binary(vec![7; 20].into())).await.unwrap();
    let received = client.next().await.unwrap();
    assert_eq!((received.event(), &received.args().attachments()[0][..]), ("binary", &[7; 20][..]));
    emitter.emit("large", &"x".repeat(100_000)).await.unwrap();
    assert_eq!(client.expect::<String>("large").await.unwrap().len(), 100_000);

    emitter.in_("room").sockets_join(["more", "less"]).await.unwrap();
    emitter.sockets_leave("less").await.unwrap();
    emitter.emit("fence", &()).await.unwrap();
    client.expect::<()>("fence").await.unwrap();
    emitter.to(["more", "less"]).except("less").emit("joined", &()).await.unwrap();
    client.expect::<()>("joined").await.unwrap();

    emitter.server_side_emit("tell", &("all", 3)).await.unwrap();
    assert_eq!(within(server_events.recv()).await.unwrap(), r#"tell "all",3"#);

    emitter.of("chat").emit("there", &1).await.unwrap();
    assert_eq!(chat.expect::<u8>("there").await.unwrap(), 1);
    emitter.in_(client.id()).disconnect_sockets().await.unwrap();
    client.disconnected().await.unwrap();
    emitter.of("chat").emit("still", &1).await.unwrap();
    chat.expect::<u8>("still").await.unwrap();
    io.close();
}

/// During an outage of the engine emits fail instead of hanging. After it they succeed again.
async fn check_outage(emitter: &Emitter, kill: impl Fn(), restart: impl Fn()) {
    kill();
    let outage = async {
        while emitter.emit("x", &()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(outage).await;
    assert!(matches!(within(emitter.emit("x", &())).await, Err(EmitError::Adapter(_))));
    restart();
    let recovery = async {
        while emitter.emit("x", &()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(recovery).await;
}

#[tokio::test]
async fn a_redis_emitter_reaches_clients_and_survives_an_outage() {
    let engine = Redis::start().unwrap();
    let emitter = Emitter::redis(RedisAdapter::classic(engine.url())).await.unwrap();
    check_operations(&emitter, RedisAdapter::classic(engine.url()).build().unwrap()).await;
    check_outage(&emitter, || engine.kill().unwrap(), || engine.restart().unwrap()).await;
}

#[tokio::test]
async fn a_sharded_redis_emitter_reaches_clients_and_survives_an_outage() {
    let engine = Redis::start().unwrap();
    let emitter = Emitter::redis_sharded(RedisAdapter::sharded(engine.url())).await.unwrap();
    check_operations(&emitter, RedisAdapter::sharded(engine.url()).build().unwrap()).await;
    check_outage(&emitter, || engine.kill().unwrap(), || engine.restart().unwrap()).await;
}

#[tokio::test]
async fn a_redis_streams_emitter_reaches_clients_and_survives_an_outage() {
    let engine = Redis::start().unwrap();
    let emitter = Emitter::redis_streams(RedisAdapter::streams(engine.url())).await.unwrap();
    check_operations(&emitter, RedisAdapter::streams(engine.url()).build().unwrap()).await;
    check_outage(&emitter, || engine.kill().unwrap(), || engine.restart().unwrap()).await;
}

#[tokio::test]
async fn a_postgres_emitter_reaches_clients_and_survives_an_outage() {
    let engine = Postgres::start().unwrap();
    let config = PostgresConfig::new(engine.url().parse().unwrap());
    let emitter = Emitter::postgres(config.clone()).await.unwrap();
    check_operations(&emitter, PostgresAdapter::new(config).unwrap()).await;
    check_outage(&emitter, || engine.kill().unwrap(), || engine.restart().unwrap()).await;
}

#[tokio::test]
async fn a_nats_emitter_reaches_clients_and_survives_an_outage() {
    on_nats(Nats::start().unwrap(), NatsConfig::new).await;
}

#[tokio::test]
async fn a_jetstream_emitter_reaches_clients_and_survives_an_outage() {
    let config = |client| NatsConfig::new(client).connection_state_recovery(JetStream::default());
    on_nats(Nats::with_jetstream().unwrap(), config).await;
}

async fn on_nats(engine: Nats, config: fn(Client) -> NatsConfig) {
    let client = || async { connect_options().connect(engine.url()).await.unwrap() };
    let emitter = Emitter::nats(config(client().await)).unwrap();
    let connected = async {
        while emitter.emit("x", &()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(connected).await;
    check_operations(&emitter, NatsAdapter::new(config(client().await)).unwrap()).await;
    check_outage(&emitter, || engine.kill().unwrap(), || engine.restart().unwrap()).await;
}

#[tokio::test]
async fn an_emitter_cannot_be_created_without_its_engine() {
    let engine = Postgres::start().unwrap();
    engine.kill().unwrap();
    let config = PostgresConfig::new(engine.url().parse().unwrap());
    let result = Emitter::postgres(config.timeout(Duration::from_millis(300))).await;
    assert!(result.is_err());
    let engine = Redis::start().unwrap();
    engine.kill().unwrap();
    assert!(Emitter::redis(RedisAdapter::classic(engine.url())).await.is_err());
}
