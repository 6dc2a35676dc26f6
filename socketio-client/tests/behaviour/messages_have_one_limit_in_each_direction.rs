//! `max_payload` limits messages from the server, and the server's `maxPayload` limits those from
//! the client, equally over every transport.

use socketio_client::{
    AckError, Binary, ClientConfig, DisconnectDescription, DisconnectReason, EmitError, Manager,
    Reconnection, Socket, SocketConfig,
};
use socketio_server::{Data, Server, ServerConfig};

use crate::support::{Log, Network, URL, log, within};

/// A server that sends the requested number of attachments of the requested size.
fn server() -> Server {
    let config = ServerConfig::default().engine(|engine| engine.max_queued_bytes(1 << 30));
    let io = Server::with_config(config);
    io.on("binary", |Data((count, bytes)): Data<(usize, usize)>| async move {
        // Equal clones would be sent only once.
        let binary = |_| socketio_server::Binary(vec![7; bytes].into());
        (0..count).map(binary).collect::<Vec<_>>()
    });
    io.on("text", |Data(bytes): Data<usize>| async move { "x".repeat(bytes) });
    io.on("length", |Data(text): Data<String>| async move { text.len() });
    io
}

fn transports(network: &Network) -> [ClientConfig; 2] {
    let polling = network.polling().engine(|engine| engine.upgrade(false));
    [network.config(), polling].map(|config| config.reconnection(Reconnection::off()))
}

async fn connect(config: ClientConfig) -> (Socket, Log<(String, String)>) {
    let socket = Manager::with_config(URL, config).unwrap().socket("/");
    let (sender, ends) = log();
    socket.on_disconnect(
        move |reason: DisconnectReason, DisconnectDescription(text): DisconnectDescription| {
            let _ = sender.send((reason.to_string(), text));
            async {}
        },
    );
    within(socket.connect()).await.unwrap();
    (socket, ends)
}

#[tokio::test(start_paused = true)]
async fn sixteen_mebibytes_arrive_over_every_transport() {
    let network = Network::new(&server());
    for config in transports(&network) {
        let (socket, _) = connect(config).await;
        for (count, bytes) in [(1, 10 << 20), (1, 16 << 20), (8, 2 << 20)] {
            let answer: Vec<Binary> =
                within(socket.emit_with_ack("binary", &(count, bytes))).await.unwrap();
            assert_eq!(answer.iter().map(|it| it.0.len()).sum::<usize>(), count * bytes);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_messages_in_one_polling_body_may_exceed_it() {
    let io = server();
    let network = Network::new(&io);
    let [_, polling] = transports(&network);
    let (socket, _) = connect(polling.engine(|engine| engine.max_payload(10_000))).await;
    let (sender, mut seen) = log();
    socket.on("n", move |socketio_client::Data((n, _)): socketio_client::Data<(usize, String)>| {
        let _ = sender.send(n);
        async {}
    });
    let peer = crate::support::peer(&io, &socket);
    for n in 0..50 {
        peer.emit("n", &(n, "x".repeat(5000))).unwrap();
    }
    assert_eq!(seen.take(50).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_larger_message_ends_the_connection_with_an_error_that_names_the_limit() {
    let network = Network::new(&server());
    for (index, config) in transports(&network).into_iter().enumerate() {
        for case in ["one attachment", "three attachments", "text"] {
            let config = config.clone().engine(|engine| engine.max_payload(100_000));
            let (socket, mut ends) = connect(config).await;
            let error = match case {
                "one attachment" => {
                    within(socket.emit_with_ack::<Vec<Binary>>("binary", &(1, 100_001))).await.err()
                }
                "three attachments" => {
                    within(socket.emit_with_ack::<Vec<Binary>>("binary", &(3, 50_000))).await.err()
                }
                _ => within(socket.emit_with_ack::<String>("text", &100_000)).await.err(),
            };
            assert!(
                matches!(error, Some(AckError::TooLarge { limit: 100_000 })),
                "{index} {case}: {error:?}"
            );
            let (reason, description) = ends.next().await;
            assert_eq!(reason, "transport error", "{index} {case}");
            assert!(description.ends_with("max_payload of 100000 bytes exceeded"), "{description}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_larger_than_the_server_takes_is_refused() {
    let network = Network::new(&server());
    for config in transports(&network) {
        let (socket, mut ends) = connect(config).await;
        let large = "x".repeat(1_000_000);
        let error = socket.emit("length", &large).unwrap_err();
        assert!(matches!(error, EmitError::TooLarge { limit: 1_000_000 }), "{error:?}");
        assert_eq!(error.to_string(), "the event exceeds the server's maxPayload of 1000000 bytes");
        let error = within(socket.emit_with_ack::<usize>("length", &large)).await.unwrap_err();
        let too_large =
            |error| matches!(error, AckError::Emit(EmitError::TooLarge { limit: 1_000_000 }));
        assert!(too_large(error));
        let length: usize =
            within(socket.emit_with_ack("length", &&large[..900_000])).await.unwrap();
        assert_eq!(length, 900_000);
        assert!(ends.rest().is_empty() && socket.is_connected());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_waited_for_the_connection_is_refused_when_it_is_sent() {
    let network = Network::new(&server());
    for config in transports(&network) {
        for retries in [None, Some(1)] {
            let manager = Manager::with_config(URL, config.clone()).unwrap();
            let options = SocketConfig::default();
            let options = match retries {
                Some(retries) => options.retries(retries),
                None => options,
            };
            let socket = manager.socket_with("/", options);
            let asking = socket.clone();
            let large = "x".repeat(1_000_000);
            let asked =
                tokio::spawn(async move { asking.emit_with_ack::<usize>("length", &large).await });
            tokio::task::yield_now().await;
            within(socket.connect()).await.unwrap();
            let error = within(asked).await.unwrap().unwrap_err();
            assert!(
                matches!(error, AckError::Emit(EmitError::TooLarge { limit: 1_000_000 })),
                "{error:?}"
            );
            let length: usize = within(socket.emit_with_ack("length", "abc")).await.unwrap();
            assert_eq!(length, 3);
        }
    }
}
