//! A failed handler is `AckError::Refused` at the other end, in both directions.

use serde_json::{Value, json};
use socketio_client::{AckError, ClientConfig, Event, HandlerError, PublicError, connect_with};
use socketio_server::{Server, ServerConfig};

use crate::support::{Network, URL, peer, within};

#[derive(Debug, thiserror::Error)]
#[error("order {0} is sold out")]
struct SoldOut(u32);

impl PublicError for SoldOut {
    fn public_message(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn public_data(&self) -> Option<Value> {
        Some(json!({ "order": self.0 }))
    }
}

fn buy(order: u32) -> Result<u32, SoldOut> {
    if order == 1 { Err(SoldOut(order)) } else { Ok(order) }
}

const TYPED: Event<(), u32> = Event::new("typed");

#[tokio::test(start_paused = true)]
async fn a_failed_handler_of_the_server_is_an_ack_error() {
    let io = Server::with_config(ServerConfig::default().public_error::<SoldOut>());
    io.on("public", || async { Ok::<u32, socketio_server::HandlerError>(buy(1)?) });
    io.handle(socketio_server::Event::<(), u32>::new("typed"), |_, ()| async { Ok(buy(1)?) });
    io.on("private", || async {
        Err::<u32, socketio_server::HandlerError>(std::io::Error::other("db-3").into())
    });
    io.on("number", |_: socketio_server::Data<u32>| async { 1 });
    io.on("works", || async { Ok::<u32, socketio_server::HandlerError>(buy(2)?) });
    let socket = Network::new(&io).socket("/");
    within(socket.connect()).await.unwrap();
    let refused = |result: Result<u32, AckError>| match result {
        Err(AckError::Refused { message, data }) => (message, data),
        other => panic!("{other:?}"),
    };
    let sold_out = ("order 1 is sold out".to_owned(), Some(json!({ "order": 1 })));
    assert_eq!(refused(socket.emit_with_ack("public", &()).await), sold_out);
    assert_eq!(refused(socket.emit_event_with_ack(TYPED, &()).await), sold_out);
    let private = ("internal error".to_owned(), None);
    assert_eq!(refused(socket.emit_with_ack("private", &()).await), private);
    let invalid = ("invalid arguments".to_owned(), None);
    assert_eq!(refused(socket.emit_with_ack("number", "text").await), invalid);
    assert_eq!(socket.emit_with_ack::<u32>("works", &()).await.unwrap(), 2);
    // A type that accepts such an object receives it as a value. An empty type could not show the
    // error.
    let value: Value = socket.emit_with_ack("private", &()).await.unwrap();
    assert_eq!(value, json!({ "error": "internal error" }));
    let nothing = socket.emit_with_ack::<()>("private", &()).await;
    assert!(matches!(nothing, Err(AckError::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_failed_handler_of_the_client_is_an_ack_error() {
    let io = Server::new();
    let network = Network::new(&io);
    let config: ClientConfig = network.config().public_error::<SoldOut>();
    let socket = within(connect_with(URL, config)).await.unwrap();
    socket.on("public", || async { Ok::<u32, HandlerError>(buy(1)?) });
    socket.on("other text", || async {
        let error = HandlerError::from(std::io::Error::other("db-3"));
        Err::<u32, _>(error.public_message("later").with_data(&7))
    });
    socket
        .on("private", || async { Err::<u32, HandlerError>(std::io::Error::other("db-3").into()) });
    socket.on("number", |_: socketio_client::Data<u32>| async { 1 });
    let peer = peer(&io, &socket);
    for (event, told, added) in [
        ("public", "order 1 is sold out", Some(json!({ "order": 1 }))),
        ("other text", "later", Some(json!(7))),
        ("private", "internal error", None),
        ("number", "invalid arguments", None),
    ] {
        match within(peer.emit_with_ack::<u32>(event, "x")).await {
            Err(socketio_server::AckError::Refused { message, data }) => {
                assert_eq!((&*message, data), (told, added), "{event}");
            }
            other => panic!("{event}: {other:?}"),
        }
    }
}
