//! An error type of the application defines what clients may read, and is used with plain `?`.

use crate::support;

use serde_json::{Value, json};
use socketio_server::{
    Data, Event, HandlerError, NamespaceVerdict, PublicError, ServerConfig, Socket,
};
use support::{Done, failures, server, server_with};

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("order {0} is sold out")]
    SoldOut(u32),
    #[error("db-3 refused user 'app'")]
    Database,
}

impl PublicError for ShopError {
    fn public_message(&self) -> Option<String> {
        matches!(self, Self::SoldOut(_)).then(|| self.to_string())
    }

    fn public_data(&self) -> Option<Value> {
        matches!(self, Self::SoldOut(_)).then(|| json!({ "code": 7 }))
    }
}

/// A type that does not implement `Error`, with its own conversion.
enum Plain {
    NotFound,
    Io(std::io::Error),
}

impl From<Plain> for HandlerError {
    fn from(error: Plain) -> Self {
        match error {
            Plain::NotFound => Self::public("not found").with_data(&404),
            Plain::Io(error) => error.into(),
        }
    }
}

fn buy(order: u32) -> Result<u32, ShopError> {
    match order {
        1 => Err(ShopError::SoldOut(order)),
        2 => Err(ShopError::Database),
        order => Ok(order),
    }
}

fn find(number: u32) -> Result<u32, Plain> {
    match number {
        1 => Err(Plain::NotFound),
        2 => Err(Plain::Io(std::io::Error::other("disk 7"))),
        number => Ok(number),
    }
}

const SOLD_OUT: &str = r#"{"error":"order 1 is sold out","data":{"code":7}}"#;

#[tokio::test]
async fn errors_of_a_registered_type_reach_the_client() {
    let server = server_with(ServerConfig::default().public_error::<ShopError>()).await;
    server.io.on("buy", |Data(n): Data<u32>| async move { Ok::<_, HandlerError>(buy(n)?) });
    server.io.handle(Event::<u32, u32>::new("typed"), |_, n| async move { Ok(buy(n)?) });
    server.io.on_connection(|socket: Socket| async move {
        socket.use_(|Data(n): Data<u32>| async move {
            buy(if n == 9 { 1 } else { 0 })?;
            Done::Ok(())
        });
    });
    server.io.of("/refuses").use_(|| async {
        buy(1)?;
        Done::Ok(())
    });
    server.io.of("/fails").use_(|| async {
        buy(2)?;
        Done::Ok(())
    });
    server.io.of_fn(|_| async {
        buy(1)?;
        Ok(NamespaceVerdict::Pass)
    });
    let mut reported = failures(&server.io.of("/"));
    let mut client = server.client().await;
    for (event, stage) in [
        (r#""buy",1"#, "buy Handler"),
        (r#""typed",1"#, "typed Handler"),
        (r#""buy",9"#, "buy Middleware"),
    ] {
        client.send(&format!("421[{event}]")).await;
        client.expect(&format!("431[{SOLD_OUT}]")).await;
        assert_eq!(reported.next().await, format!("{stage}: order 1 is sold out"));
    }
    client.send(r#"421["buy",2]"#).await;
    client.expect(r#"431[{"error":"internal error"}]"#).await;
    assert_eq!(reported.next().await, "buy Handler: db-3 refused user 'app'");
    client.send(r#"421["buy",3]"#).await;
    client.expect("431[3]").await;

    // A deliberate refusal is no failure.
    let mut reported = failures(&server.io.of("/refuses"));
    for nsp in ["/refuses", "/function"] {
        client.send(&format!("40{nsp},")).await;
        let refusal = r#"{"message":"order 1 is sold out","data":{"code":7}}"#;
        client.expect(&format!("44{nsp},{refusal}")).await;
    }
    assert!(reported.rest().is_empty());
    let mut reported = failures(&server.io.of("/fails"));
    client.send("40/fails,").await;
    client.expect(r#"44/fails,{"message":"internal error"}"#).await;
    assert_eq!(reported.next().await, "connect Middleware: db-3 refused user 'app'");
}

#[tokio::test]
async fn errors_of_an_unregistered_type_stay_private() {
    let server = server().await;
    server.io.on("buy", |Data(n): Data<u32>| async move { Ok::<_, HandlerError>(buy(n)?) });
    let mut client = server.client().await;
    client.send(r#"421["buy",1]"#).await;
    client.expect(r#"431[{"error":"internal error"}]"#).await;
}

#[tokio::test]
async fn a_conversion_of_the_application_makes_an_error_public() {
    let server = server().await;
    server.io.on("find", |Data(n): Data<u32>| async move { Ok::<_, HandlerError>(find(n)?) });
    server.io.on("other text", || async {
        let error = HandlerError::from(std::io::Error::other("disk 7"));
        Done::Err(error.public_message("try again later"))
    });
    let mut reported = failures(&server.io.of("/"));
    let mut client = server.client().await;
    for (event, answer, failure) in [
        (r#""find",1"#, r#"{"error":"not found","data":404}"#, "find Handler: not found"),
        (r#""find",2"#, r#"{"error":"internal error"}"#, "find Handler: disk 7"),
        (r#""other text""#, r#"{"error":"try again later"}"#, "other text Handler: disk 7"),
    ] {
        client.send(&format!("421[{event}]")).await;
        client.expect(&format!("431[{answer}]")).await;
        assert_eq!(reported.next().await, failure);
    }
}
