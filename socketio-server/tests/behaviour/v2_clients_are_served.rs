//! Clients of Socket.IO v2 (protocol revision 4 over Engine.IO revision 3), as Node serves them with `allowEIO3`.

use crate::support;

use serde_json::{Value, json};
use socketio_server::{Ack, Args, HandlerError, Recovery, ServerConfig, Socket, Values};
use support::{Done, Running, disconnections, server_with, sockets, within};

async fn server() -> Running {
    server_with(ServerConfig::default().engine(|engine| engine.allow_eio3(true))).await
}

#[tokio::test]
async fn a_v2_client_is_in_the_main_namespace_without_connect() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, sid) = server.open_v2().await;
    client.expect("40").await;
    let socket = within(connected.recv()).await.unwrap();
    assert_eq!(socket.id(), sid, "the client takes its session's id for its own");
    assert_eq!(socket.auth::<Value>().unwrap(), json!({}));
    client.fence().await;
}

#[tokio::test]
async fn a_v2_client_that_connects_to_the_main_namespace_is_closed_as_in_node() {
    for connect in ["40", "40/", "40/,"] {
        let server = server().await;
        let (mut client, _) = server.open_v2().await;
        client.expect("40").await;
        client.send(connect).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_polling_v2_client_is_served() {
    let server = server().await;
    let request = http::Request::get("/socket.io/?EIO=3&transport=polling");
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let response = within(server.io.engine().handle(request)).await;
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let (_, open) = std::str::from_utf8(&body).unwrap().split_once(":0").unwrap();
    let open: Value = serde_json::from_str(open).unwrap();
    let sid = open["sid"].as_str().unwrap();
    assert_eq!(server.request("GET", sid, "").await, (200, "2:40".to_owned()));
    assert_eq!(server.request("POST", sid, r#"14:42999["fence"]"#).await.0, 200);
    assert_eq!(server.request("GET", sid, "").await, (200, "7:43999[]".to_owned()));
}

#[tokio::test]
async fn ids_of_v2_clients_name_the_namespace_and_the_query_is_the_auth() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/custom"));
    let (mut client, sid) = server.open_v2().await;
    client.expect("40").await;
    for (query, auth) in [
        ("", json!({})),
        ("?token=a%20b&x=1&x=2", json!({ "token": "a b", "x": "2" })),
        ("?%E2%82%AC=%F0%9F%98%80", json!({ "€": "😀" })),
    ] {
        client.send(&format!("40/custom{query},")).await;
        client.expect("40/custom,").await;
        let socket = within(connected.recv()).await.unwrap();
        assert_eq!(socket.id(), format!("/custom#{sid}"));
        assert_eq!(socket.auth::<Value>().unwrap(), auth);
        client.send("41/custom,").await;
    }
}

#[tokio::test]
async fn a_refused_v2_client_gets_the_bare_message_or_data() {
    let server = server().await;
    let refuse = || HandlerError::public("not authorized");
    server.io.of("/plain").use_(move || async move { Done::Err(refuse()) });
    let data = json!({ "code": 401 });
    server.io.of("/data").use_(move || {
        let error = refuse().with_data(&data);
        async move { Done::Err(error) }
    });
    let (mut client, _) = server.open_v2().await;
    client.expect("40").await;
    for (nsp, error) in [
        ("/unknown", r#"{"message":"Invalid namespace"}"#),
        ("/plain", r#""not authorized""#),
        ("/data", r#"{"code":401}"#),
    ] {
        client.send(&format!("40{nsp},")).await;
        client.expect(&format!("44{nsp},{error}")).await;
    }
    client.fence().await;
}

#[tokio::test]
async fn the_main_namespace_may_refuse_a_v2_client() {
    let server = server().await;
    server.io.use_(|| async { Done::Err(HandlerError::public("not authorized")) });
    let (mut client, _) = server.open_v2().await;
    client.expect(r#"44"not authorized""#).await;
    assert_eq!(server.io.of("/").sockets_count(), 0);
}

#[tokio::test]
async fn v2_clients_exchange_events_and_acks() {
    let server = server().await;
    let namespace = server.io.of("/");
    namespace.on("ack", |args: Args, ack: Ack| async move {
        ack.send(&args)?;
        Ok(())
    });
    namespace.on("ask", |socket: Socket, args: Args| async move {
        let answer: Values = socket.emit_with_ack("question", &args).await?;
        socket.emit("answer", &answer)?;
        Done::Ok(())
    });
    let (mut client, _) = server.open_v2().await;
    client.expect("40").await;
    client.send(r#"427["ack",1,"€"]"#).await;
    client.expect(r#"437[1,"€"]"#).await;
    client.send(r#"451-8["ack",{"_placeholder":true,"num":0}]"#).await;
    client.send_binary(&[4, 1, 2]).await;
    client.expect(r#"461-8[{"_placeholder":true,"num":0}]"#).await;
    client.expect_binary(&[4, 1, 2]).await;
    client.send(r#"42["ask","?"]"#).await;
    let question = client.text().await;
    let id = question.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["question","?"]"#));
    client.send(&format!("43{}[true]", id.unwrap())).await;
    client.expect(r#"42["answer",true]"#).await;
}

#[tokio::test]
async fn broadcasts_reach_v2_clients_and_newer_clients() {
    let server = server().await;
    let (mut older, sid) = server.open_v2().await;
    older.expect("40").await;
    let mut newer = server.client().await;
    server.io.emit("news", &socketio_server::Binary(vec![1, 2].into())).unwrap();
    let header = r#"451-["news",{"_placeholder":true,"num":0}]"#;
    older.expect(header).await;
    older.expect_binary(&[4, 1, 2]).await;
    newer.expect(header).await;
    newer.expect_binary(&[1, 2]).await;
    server.io.to(&*sid).emit("only", &()).unwrap();
    older.expect(r#"42["only"]"#).await;
    newer.fence().await;
}

#[tokio::test]
async fn a_v2_client_leaves() {
    let server = server().await;
    let mut reasons = disconnections(&server.io.of("/"));
    let mut connected = sockets(&server.io.of("/"));
    let (mut client, _) = server.open_v2().await;
    client.expect("40").await;
    client.send("41").await;
    assert_eq!(reasons.next().await, "client namespace disconnect");
    client.send("40").await;
    client.expect("40").await;
    within(connected.recv()).await.unwrap();
    within(connected.recv()).await.unwrap().disconnect();
    client.expect("41").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
}

#[tokio::test]
async fn v2_clients_get_offsets_if_recovery_is_on() {
    let config = ServerConfig::default().engine(|engine| engine.allow_eio3(true));
    let server = server_with(config.connection_state_recovery(Recovery::default())).await;
    let (mut client, _) = server.open_v2().await;
    client.expect("40").await;
    server.io.emit("event", &1).unwrap();
    let (event, offset) = client.recorded().await;
    assert_eq!(event, json!(["event", 1]));
    assert!(!offset.is_empty());
}
