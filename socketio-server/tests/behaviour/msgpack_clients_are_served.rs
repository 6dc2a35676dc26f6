//! With the msgpack parser every packet is one binary message. Handlers do not change.
#![cfg(feature = "msgpack")]

use crate::support;

use engineio_server::Frames;
use serde_json::json;
use socketio_parser::{Content, Decoder};
use socketio_server::{
    Args, Binary, Data, HandlerError, Limits, Nsp, Parser, Recovery, ServerConfig, Socket, Value,
    args,
};
use support::{Client, Done, Message, disconnections, server_with, until, within};

const PACK: Parser = Parser::MsgPack;

async fn send(client: &mut Client, frames: &Frames) {
    client.send_binary(&frames.iter().next().unwrap().payload()).await;
}

async fn next(client: &mut Client) -> (Nsp, Content) {
    let Some(Message::Binary(message)) = client.next().await else { panic!("no binary") };
    let mut decoder = Decoder::new(&Limits::default()).with_parser(PACK);
    let packet = decoder.decode_binary(message).unwrap().unwrap();
    (packet.nsp, packet.content)
}

async fn event(client: &mut Client) -> Args {
    match next(client).await {
        (_, Content::Event { args, .. }) => args,
        other => panic!("no event: {other:?}"),
    }
}

#[tokio::test]
async fn a_msgpack_client_is_served_from_connect_to_disconnect() {
    let server = server_with(ServerConfig::default().parser(PACK)).await;
    server.io.on_connection(|socket: Socket| async move {
        let answer: String = socket.emit_with_ack("name?", &()).await?;
        socket.emit("hello", &answer)?;
        Ok(())
    });
    server.io.on("double", |Data((n, Binary(bytes))): Data<(f64, Binary)>| async move {
        (n * 2.0, Binary(bytes))
    });
    server.io.on("shout", |socket: Socket, args: Args| async move {
        socket.namespace().emit("shouted", &args)?;
        Ok(())
    });
    let closed = server.io.of("/closed");
    closed.use_(|| async { Done::Err(HandlerError::public("no").with_data(&json!({ "a": 1 }))) });
    let (mut client, root) = (server.open().await, Nsp::root());

    send(&mut client, &PACK.encode_connect(Default::default(), &root, &json!({ "t": 1 })).unwrap())
        .await;
    let (_, Content::Connect(Some(sid))) = next(&mut client).await else { panic!() };
    assert_eq!(sid.decode::<serde_json::Value>().unwrap()["sid"].as_str().unwrap().len(), 20);

    let (_, Content::Event { id: Some(id), args }) = next(&mut client).await else { panic!() };
    assert_eq!(args.event(), "name?");
    send(&mut client, &PACK.encode_ack(&root, id, "Ann").unwrap()).await;
    assert_eq!(event(&mut client).await.decode::<String>().unwrap(), "Ann");

    let double = args![1.25, bytes::Bytes::from_static(b"xyz")];
    send(&mut client, &PACK.encode_event(&root, Some(7.into()), "double", &double).unwrap()).await;
    let (_, Content::Ack { id, args }) = next(&mut client).await else { panic!() };
    assert_eq!(id, Some(7.into()));
    let (n, Binary(bytes)) = args.decode::<(f64, Binary)>().unwrap();
    assert_eq!((n, &bytes[..]), (2.5, &b"xyz"[..]));

    send(&mut client, &PACK.encode_event(&root, None, "shout", &double).unwrap()).await;
    assert_eq!(event(&mut client).await.values().unwrap(), double.0);

    let other = Nsp::new("/closed").unwrap();
    send(&mut client, &PACK.encode_connect(Default::default(), &other, &()).unwrap()).await;
    let (nsp, Content::ConnectError(error)) = next(&mut client).await else { panic!() };
    assert_eq!((nsp, error.get()), (other, r#"{"message":"no","data":{"a":1}}"#));

    server.io.disconnect_sockets().unwrap();
    assert!(matches!(next(&mut client).await.1, Content::Disconnect));
}

#[tokio::test]
async fn garbage_and_text_close_the_connection() {
    let server = server_with(ServerConfig::default().parser(PACK)).await;
    let mut reasons = disconnections(&server.io.of("/"));
    for text in [true, false] {
        let mut client = server.open().await;
        let connect = PACK.encode_connect(Default::default(), &Nsp::root(), &()).unwrap();
        send(&mut client, &connect).await;
        within(next(&mut client)).await;
        if text {
            client.send(r#"42["fence"]"#).await;
        } else {
            client.send_binary(b"\x81\xa4type\xff").await;
        }
        client.closed().await;
        assert_eq!(reasons.next().await, "forced close");
    }
}

/// Returns the arguments of an event without the offset, and the offset.
async fn recorded(client: &mut Client) -> (Vec<Value>, String) {
    let mut values = event(client).await.values().unwrap();
    let Some(Value::String(offset)) = values.pop() else { panic!("no offset") };
    (values, offset)
}

#[tokio::test]
async fn a_lost_session_of_a_msgpack_client_is_recovered() {
    let recovery = Recovery::default();
    let config = ServerConfig::default().parser(PACK).connection_state_recovery(recovery);
    let (server, root) = (server_with(config).await, Nsp::root());
    let mut client = server.open().await;
    send(&mut client, &PACK.encode_connect(Default::default(), &root, &()).unwrap()).await;
    let (_, Content::Connect(Some(granted))) = next(&mut client).await else { panic!() };
    let granted: serde_json::Value = granted.decode().unwrap();
    server.io.emit("got", &(1, Binary(vec![1].into()))).unwrap();
    let (values, offset) = recorded(&mut client).await;
    assert_eq!(values, args![1, bytes::Bytes::from_static(&[1])].0);

    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    server.io.emit("missed", &Binary(vec![2, 3].into())).unwrap();
    server.io.emit("missed", &"too").unwrap();
    let mut client = server.open().await;
    let claim = json!({ "pid": granted["pid"], "offset": offset });
    send(&mut client, &PACK.encode_connect(Default::default(), &root, &claim).unwrap()).await;
    let missed = recorded(&mut client).await.0;
    assert_eq!(missed, args![bytes::Bytes::from_static(&[2, 3])].0);
    assert_eq!(recorded(&mut client).await.0, args!["too"].0);
    let (_, Content::Connect(Some(again))) = next(&mut client).await else { panic!() };
    assert_eq!(again.decode::<serde_json::Value>().unwrap(), granted);
}
