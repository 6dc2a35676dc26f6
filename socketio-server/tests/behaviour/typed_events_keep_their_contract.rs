//! A typed event has the arguments and the ack of its contract. `()` is an ack without arguments.

use crate::support;

use serde::{Deserialize, Serialize};
use socketio_server::{Binary, Event, HandlerError, Socket};
use support::{server, sockets, within};

#[derive(Serialize, Deserialize)]
struct Receipt {
    length: usize,
}

const SAY: Event<(String, u32), Receipt> = Event::new("say");
const NOTE: Event<String> = Event::new("note");
const PICTURE: Event<Binary, (u32, Binary)> = Event::new("picture");

#[tokio::test]
async fn arguments_and_acks_have_the_types_of_the_contract() {
    let server = server().await;
    server.io.handle(SAY, |_, (text, times)| async move {
        Receipt { length: text.len() * times as usize }
    });
    server.io.handle(NOTE, |_, text| async move {
        if text.is_empty() { Err(HandlerError::public("empty")) } else { Ok(()) }
    });
    server.io.handle(PICTURE, |_, Binary(data)| async move { (data.len() as u32, Binary(data)) });
    let mut client = server.client().await;
    client.send(r#"421["say","abc",2]"#).await;
    client.expect(r#"431[{"length":6}]"#).await;
    client.send(r#"422["note","x"]"#).await;
    client.expect("432[]").await;
    client.send(r#"42["note","nobody waits"]"#).await;
    client.fence().await;
    client.send(r#"451-3["picture",{"_placeholder":true,"num":0}]"#).await;
    client.send_binary(&[7; 5]).await;
    client.expect(r#"461-3[5,{"_placeholder":true,"num":0}]"#).await;
    client.expect_binary(&[7; 5]).await;
}

#[tokio::test]
async fn typed_events_are_sent_to_one_socket_and_to_rooms() {
    const NEWS: Event<(String, u32)> = Event::new("news");
    const COUNT: Event<String, u32> = Event::new("count");
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket: Socket = within(connected.recv()).await.unwrap();
    let news = ("x".to_owned(), 1);
    socket.emit_event(NEWS, &news).unwrap();
    socket.timeout(support::HANG).emit_event(NEWS, &news).unwrap();
    socket.namespace().emit_event(NEWS, &news).unwrap();
    server.io.emit_event(NEWS, &news).unwrap();
    server.io.to(socket.id()).emit_event(NEWS, &news).unwrap();
    for _ in 0..5 {
        client.expect(r#"42["news","x",1]"#).await;
    }
    let (io, word) = (server.io.clone(), "abc".to_owned());
    let asked = tokio::spawn(async move {
        let one = socket.emit_event_with_ack(COUNT, &word).await.unwrap();
        let timed = socket.timeout(support::HANG).emit_event_with_ack(COUNT, &word).await.unwrap();
        let all = socket.namespace().emit_event_with_ack(COUNT, &word).await.unwrap();
        let again = io.to(socket.id()).emit_event_with_ack(COUNT, &word).await.unwrap();
        let last = io.emit_event_with_ack(COUNT, &word).await.unwrap();
        (one, timed, all, again, last)
    });
    for n in 0..5 {
        let question = client.text().await;
        let id = question.strip_prefix("42").unwrap().split('[').next().unwrap();
        assert_eq!(question, format!(r#"42{id}["count","abc"]"#));
        client.send(&format!("43{id}[{n}]")).await;
    }
    assert_eq!(within(asked).await.unwrap(), (0, 1, vec![2], vec![3], vec![4]));
}

#[tokio::test]
async fn a_socket_may_have_its_own_typed_handlers() {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let mut client = server.client().await;
    let socket: Socket = within(connected.recv()).await.unwrap();
    socket.handle(SAY, |socket, (text, _)| async move {
        socket.emit("said", &text)?;
        Ok(Receipt { length: text.len() })
    });
    client.send(r#"421["say","abc",1]"#).await;
    client.expect(r#"42["said","abc"]"#).await;
    client.expect(r#"431[{"length":3}]"#).await;

    let mut other = server.client().await;
    other.send(r#"421["say","abc",1]"#).await;
    other.fence().await;
}
