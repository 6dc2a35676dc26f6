//! The testing kit: a client in memory sees the same as a client with a connection, and takes no
//! time with a paused clock.
#![cfg(feature = "testing")]

use crate::support;

use std::time::Duration;

use serde_json::json;
use socketio_server::{
    AckError, Auth, Binary, Data, Extension, HandlerError, Parser, Recovery, Server, ServerConfig,
    Socket,
    testing::{TestClient, TestError},
};
use support::{disconnections, sockets};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn a_test_client_sends_events_and_gets_acks_and_broadcasts() {
    let io = Server::new();
    io.on("join", |socket: Socket, Data(room): Data<String>| async move {
        socket.join(room)?;
        Ok(true)
    });
    io.on("upload", |socket: Socket, Data((name, body)): Data<(String, Binary)>| async move {
        socket.to("readers").emit("uploaded", &(name, &body))?;
        Ok(body.0.len())
    });
    let ann = TestClient::connect(&io, "/", &()).await.unwrap();
    let mut bob = TestClient::connect(&io, "/", &()).await.unwrap();
    assert!(io.of("/").socket(bob.id()).is_some());
    assert!(bob.emit_with_ack::<bool>("join", "readers").await.unwrap());
    let upload = ("a.png", Binary(vec![1, 2, 3].into()));
    assert_eq!(ann.emit_with_ack::<usize>("upload", &upload).await.unwrap(), 3);
    let (name, body): (String, Binary) = bob.expect("uploaded").await.unwrap();
    assert_eq!((name.as_str(), &body.0[..]), ("a.png", &[1, 2, 3][..]));
    bob.expect_silence(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_test_client_acks_events_of_the_server() {
    let io = Server::new();
    let mut connected = sockets(&io.of("/"));
    let mut client = TestClient::connect(&io, "/", &()).await.unwrap();
    let socket = connected.recv().await.unwrap();
    let asked = tokio::spawn(async move {
        let answer: Result<String, AckError> = socket.emit_with_ack("name?", &1).await;
        (answer, socket.emit_with_ack::<String>("again?", &2).await)
    });
    let question = client.next().await.unwrap();
    assert!(question.wants_ack() && question.event() == "name?");
    assert_eq!(question.decode::<u32>().unwrap(), 1);
    question.ack("Ann").await.unwrap();
    client.expect::<u32>("again?").await.unwrap();
    // The second ack is not sent, so 30 s pass at once.
    let (first, second) = asked.await.unwrap();
    assert_eq!(first.unwrap(), "Ann");
    assert!(matches!(second, Err(AckError::Timeout)));
}

#[tokio::test(start_paused = true)]
async fn a_test_client_sends_auth_and_sees_refusals() {
    let config = ServerConfig::default().engine(|engine| engine.keep_extension::<&str>());
    let io = Server::with_config(config);
    io.of("/admin").use_(|Auth(token): Auth<String>| async move {
        let wrong = || HandlerError::public("not authorized").with_data(&401);
        if token == "secret" { Ok(()) } else { Err(wrong()) }
    });
    io.on("who", |socket: Socket, Extension(name): Extension<&'static str>| async move {
        let headers = socket.handshake().headers();
        Ok((
            name,
            headers.get("x-test").is_some(),
            socket.handshake().query().last().cloned().unwrap().1,
        ))
    });
    // Auth must be an object.
    assert!(matches!(TestClient::connect(&io, "/admin", &1).await, Err(TestError::Encode(_))));
    let refused = TestClient::connect(&io, "/admin", &json!({})).await;
    let Err(TestError::Refused { .. }) = refused else { panic!("{refused:?}") };
    let refused = TestClient::connect(&io, "/nowhere", &()).await;
    let Err(TestError::Refused { message, data: None }) = refused else { panic!("{refused:?}") };
    assert_eq!(message, "Invalid namespace");

    let request = http::Request::get("/?room=1").header("x-test", "1").extension("Ann");
    let client = TestClient::connect_with(&io, "/", &(), request.body(()).unwrap()).await.unwrap();
    let who: (String, bool, String) = client.emit_with_ack("who", &()).await.unwrap();
    assert_eq!(who, ("Ann".to_owned(), true, "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_test_client_disconnects_in_every_way() {
    let io = Server::new();
    let mut reasons = disconnections(&io.of("/"));
    let mut client = TestClient::connect(&io, "/", &()).await.unwrap();
    let first = client.id().to_owned();
    client.disconnect().await.unwrap();
    assert_eq!(reasons.next().await, "client namespace disconnect");
    client.reconnect().await.unwrap();
    assert_ne!(client.id(), first);
    client.close().await.unwrap();
    assert_eq!(reasons.next().await, "transport close");
    client.reconnect().await.unwrap();
    client.drop_connection();
    assert_eq!(reasons.next().await, "transport error");
    client.reconnect().await.unwrap();
    io.disconnect_sockets().unwrap();
    client.disconnected().await.unwrap();
    assert_eq!(reasons.next().await, "server namespace disconnect");
    client.reconnect().await.unwrap();
    // Hours of heartbeats pass.
    client.expect_silence(LONG).await.unwrap();
    assert_eq!(io.of("/").sockets_count(), 1);
    io.close();
    client.disconnected().await.unwrap();
    assert_eq!(reasons.next().await, "server shutting down");
}

#[tokio::test(start_paused = true)]
async fn a_test_client_recovers_its_session() {
    let recovery = ServerConfig::default().connection_state_recovery(Recovery::default());
    let io = Server::with_config(recovery);
    io.use_(|Auth(name): Auth<serde_json::Value>| async move {
        if name == json!({ "name": "Ann" }) { Ok(()) } else { Err(HandlerError::public("who?")) }
    });
    io.on_connection(|socket: Socket| async move {
        if !socket.recovered() {
            socket.join("members")?;
        }
        socket.emit("welcome", &socket.recovered())?;
        Ok(())
    });
    let auth = json!({ "name": "Ann" });
    let mut client = TestClient::connect(&io, "/", &auth).await.unwrap();
    let id = client.id().to_owned();
    assert!(!client.recovered() && !client.expect::<bool>("welcome").await.unwrap());
    for round in 0..3 {
        // The client reads one event, receives one without reading it, and misses one.
        io.to("members").emit("n", &(round, "read")).unwrap();
        assert_eq!(client.expect::<(u32, String)>("n").await.unwrap().1, "read");
        io.to("members").emit("n", &(round, "unread")).unwrap();
        tokio::time::sleep(LONG).await;
        client.drop_connection();
        while io.sockets().sockets_count() > 0 {
            tokio::task::yield_now().await;
        }
        io.to("members").emit("n", &(round, "missed")).unwrap();
        client.reconnect().await.unwrap();
        assert!(client.recovered() && client.id() == id);
        for expected in ["unread", "missed"] {
            let (n, text): (u32, String) = client.expect("n").await.unwrap();
            assert_eq!((n, text.as_str()), (round, expected));
        }
        assert!(client.expect::<bool>("welcome").await.unwrap());
    }
    // A client that returns at once is waited for.
    client.drop_connection();
    client.reconnect().await.unwrap();
    assert!(client.recovered());
    client.disconnect().await.unwrap();
    client.reconnect().await.unwrap();
    assert!(!client.recovered() && client.id() != id);
}

#[tokio::test(start_paused = true)]
async fn a_test_client_joins_several_namespaces() {
    let io = Server::new();
    let mut reasons = disconnections(&io.of("/news"));
    for name in ["/", "/news"] {
        io.of(name).on("where", |socket: Socket| async move {
            socket.emit("here", &socket.nsp().as_str())?;
            Ok((socket.nsp().to_string(), socket.conn().sid().to_string()))
        });
    }
    let mut main = TestClient::connect(&io, "/", &()).await.unwrap();
    let mut news = main.join("/news", &()).await.unwrap();
    assert!(matches!(main.join("/news", &()).await, Err(TestError::AlreadyJoined)));
    assert!(matches!(main.join("/nowhere", &()).await, Err(TestError::Refused { .. })));
    let (nsp, sid): (String, String) = main.emit_with_ack("where", &()).await.unwrap();
    let other: (String, String) = news.emit_with_ack("where", &()).await.unwrap();
    assert_eq!((nsp.as_str(), other), ("/", ("/news".to_owned(), sid)));
    assert_eq!(news.expect::<String>("here").await.unwrap(), "/news");
    assert_eq!(main.expect::<String>("here").await.unwrap(), "/");
    // Each namespace is left separately. Both share the connection.
    main.disconnect().await.unwrap();
    news.emit("where", &()).await.unwrap();
    assert_eq!(news.expect::<String>("here").await.unwrap(), "/news");
    main.drop_connection();
    assert_eq!(reasons.next().await, "transport error");
    assert!(matches!(news.next().await, Err(TestError::Closed)));
    news.reconnect().await.unwrap();
    main.reconnect().await.unwrap();
    drop(main);
    news.emit("where", &()).await.unwrap();
    assert_eq!(news.expect::<String>("here").await.unwrap(), "/news");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_arrive_is_an_error() {
    let io = Server::new();
    io.on("noise", |socket: Socket| async move { Ok(socket.emit("noise", &())?) });
    let mut client = TestClient::connect(&io, "/", &()).await.unwrap();
    let silence = client.expect::<()>("anything").await;
    assert!(matches!(silence, Err(TestError::Timeout(_))));
    let unanswered = client.emit_with_ack::<()>("nobody listens", &()).await;
    assert!(matches!(unanswered, Err(TestError::Timeout(_))));
    client.emit("noise", &()).await.unwrap();
    let other = client.expect::<()>("other").await;
    assert!(matches!(other, Err(TestError::Unexpected { event, .. }) if event == "noise"));
    client.emit("noise", &()).await.unwrap();
    assert!(client.expect_silence(LONG).await.is_err());
}

#[tokio::test(start_paused = true)]
#[cfg(feature = "msgpack")]
async fn a_test_client_speaks_msgpack() {
    let io = Server::with_config(ServerConfig::default().parser(Parser::MsgPack));
    io.on("double", |Data(n): Data<f64>| async move { n * 2.0 });
    let client = TestClient::connect(&io, "/", &json!({ "a": 1 })).await.unwrap();
    assert_eq!(client.emit_with_ack::<f64>("double", &1.25).await.unwrap(), 2.5);
}

#[tokio::test(start_paused = true)]
async fn events_sent_by_a_middleware_are_received() {
    let io = Server::new();
    io.use_(|socket: Socket| async move {
        socket.emit("first", &1)?;
        Ok(())
    });
    io.on_connection(|socket: Socket| async move {
        socket.emit("second", &2)?;
        Ok(())
    });
    let mut client = TestClient::connect(&io, "/", &()).await.unwrap();
    assert_eq!(client.expect::<u32>("first").await.unwrap(), 1);
    assert_eq!(client.expect::<u32>("second").await.unwrap(), 2);
}
