//! Extractors provide the server's state, the request's extensions and the event's name. A value
//! that may be missing is an `Option`, one that may fail a `Result`.

use crate::support;

use std::sync::Arc;

use serde_json::Value;
use socketio_server::{
    Ack, Auth, Data, Event, EventName, Extension, HandlerError, ServerConfig, Socket, State, serve,
};
use support::{Running, failures, server, server_with};
use tower_layer::Layer;

#[tokio::test]
async fn handlers_take_the_state_of_the_server() {
    let server = server_with(ServerConfig::default().state(Arc::new(7)).state("text")).await;
    server.io.on(
        "both",
        |State(number): State<Arc<i32>>, State(text): State<&'static str>| async move {
            (*number, text)
        },
    );
    server.io.on("maybe", |none: Option<State<u64>>| async move { none.is_none() });
    server.io.on("none", |_: State<u64>| async {});
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["both"]"#).await;
    client.expect(r#"431[7,"text"]"#).await;
    client.send(r#"422["maybe"]"#).await;
    client.expect("432[true]").await;
    client.send(r#"423["none"]"#).await;
    client.expect(r#"433[{"error":"internal error"}]"#).await;
    let failure = failures.next().await;
    assert_eq!(failure, "none Extract: no `u64` was given to `ServerConfig::state`");
}

/// A layer in front of the server, like one that authenticates requests.
#[derive(Clone)]
struct Knows<S>(S);

impl<S, B> tower_service::Service<http::Request<B>> for Knows<S>
where
    S: tower_service::Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> S::Future {
        request.extensions_mut().insert("Ann");
        self.0.call(request)
    }
}

#[tokio::test]
async fn handlers_take_extensions_of_the_request() {
    let config = ServerConfig::default().engine(|engine| engine.keep_extension::<&str>());
    let io = socketio_server::Server::with_config(config);
    io.on(
        "who",
        |Extension(name): Extension<&'static str>, none: Option<Extension<u8>>| async move {
            (name, none.is_none())
        },
    );
    io.on("none", |_: Extension<u8>| async {});
    let mut failures = failures(&io.of("/"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = io.layer().layer(axum::Router::new());
    let listening = serve(listener, Knows(service), io.engine().config());
    let server = Running { io, address: listening.local_addr().unwrap() };
    let mut client = server.client().await;
    client.send(r#"421["who"]"#).await;
    client.expect(r#"431["Ann",true]"#).await;
    client.send(r#"42["none"]"#).await;
    assert_eq!(
        failures.next().await,
        "none Extract: no extension `u8` was kept (`EngineConfig::keep_extension`)"
    );
}

#[tokio::test]
async fn handlers_take_the_name_of_the_event() {
    let server = server().await;
    for event in ["start", "stop"] {
        server.io.on(event, |EventName(event): EventName| async move { event });
    }
    let mut client = server.client().await;
    client.send(r#"421["stop"]"#).await;
    client.expect(r#"431["stop"]"#).await;
}

#[tokio::test]
async fn a_missing_value_is_none() {
    let server = server().await;
    server.io.on("data", |data: Option<Data<u32>>| async move { data.map(|Data(n)| n) });
    server.io.on("auth", |auth: Option<Auth<u32>>| async move { auth.map(|Auth(n)| n) });
    server.io.on_connection(|socket: Socket, data: Option<Data<Value>>| {
        socket.emit("connected with", &data.map(|Data(data)| data))?;
        Ok(())
    });
    let mut client = server.open().await;
    client.send("40").await;
    client.connected("/").await;
    client.expect(r#"42["connected with",null]"#).await;
    client.send(r#"421["data"]"#).await;
    client.expect("431[null]").await;
    client.send(r#"421["data",7]"#).await;
    client.expect("431[7]").await;
    // The value is present, but of another type.
    client.send(r#"421["data","x"]"#).await;
    assert!(client.text().await.starts_with(r#"431[{"error":"invalid arguments"#));
    client.send(r#"421["auth"]"#).await;
    client.expect("431[null]").await;
}

#[tokio::test]
async fn a_failed_extraction_is_an_error_in_a_result() {
    let server = server().await;
    server.io.on("age", |age: Result<Data<u8>, HandlerError>, ack: Ack| async move {
        match age {
            Ok(Data(age)) => ack.send(&age)?,
            Err(error) => ack.send(&format!("no age: {}", error.is_public()))?,
        }
        Ok(())
    });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["age",300]"#).await;
    client.expect(r#"431["no age: false"]"#).await;
    client.send(r#"421["age",30]"#).await;
    client.expect("431[30]").await;
    assert!(failures.rest().is_empty());
}

#[tokio::test]
async fn plain_functions_are_handlers() {
    fn half(Data(number): Data<f64>) -> f64 {
        number / 2.0
    }
    let server = server().await;
    server.io.on("half", half);
    server.io.on("name", |EventName(event): EventName| Ok(event));
    server.io.on("nothing", |_: Socket| {});
    server.io.on("fails", || Err::<(), _>(HandlerError::public("no")));
    server.io.on("panics", || panic!("on purpose"));
    server.io.handle(Event::<u32, u32>::new("double"), |_, number| number * 2);
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    client.send(r#"421["half",3]"#).await;
    client.expect("431[1.5]").await;
    client.send(r#"422["name"]"#).await;
    client.expect(r#"432["name"]"#).await;
    client.send(r#"423["nothing"]"#).await;
    client.send(r#"424["fails"]"#).await;
    client.expect(r#"434[{"error":"no"}]"#).await;
    assert_eq!(failures.next().await, "fails Handler: no");
    client.send(r#"425["panics"]"#).await;
    client.expect(r#"435[{"error":"internal error"}]"#).await;
    assert_eq!(failures.next().await, "panics Panic: on purpose");
    client.send(r#"426["double",21]"#).await;
    client.expect("436[42]").await;
}
