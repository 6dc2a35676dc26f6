//! The packets on the wire, and the reaction to servers that violate the protocol.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_client::{Binary, ConnectError, Data, SocketConfig};

use crate::support::{Network, connection_events, log, settle, within};

const GRANTED: &str = r#"0{"sid":"abc"}"#;

#[tokio::test(start_paused = true)]
async fn packets_match_byte_for_byte() {
    let (sender, mut seen) = log();
    let network = Network::raw(move |text| {
        let _ = text.map(|text| sender.send(text.to_owned()));
        match text {
            Some(text) if text.starts_with("0/chat,") => vec![r#"0/chat,{"sid":"abc"}"#.into()],
            Some(text) if text.starts_with("2/chat,0[") => vec!["3/chat,0[7]".into()],
            _ => Vec::new(),
        }
    });
    let config = SocketConfig::default().auth(&json!({ "token": 1 }));
    let socket = network.manager().socket_with("/chat", config);
    within(socket.connect()).await.unwrap();
    assert_eq!(socket.id().as_deref(), Some("abc"));
    assert_eq!(socket.emit_with_ack::<u32>("ask", &(1, "a")).await.unwrap(), 7);
    socket.emit("say", &[1, 2]).unwrap();
    socket.emit("bin", &Binary(vec![1].into())).unwrap();
    let asked = socket.timeout(Duration::from_secs(1)).emit_with_ack::<()>("ask", &());
    within(asked).await.unwrap_err();
    socket.disconnect();
    let expected = [
        r#"0/chat,{"token":1}"#,
        r#"2/chat,0["ask",1,"a"]"#,
        r#"2/chat,["say",1,2]"#,
        r#"51-/chat,["bin",{"_placeholder":true,"num":0}]"#,
        r#"2/chat,1["ask"]"#,
        "1/chat,",
    ];
    assert_eq!(seen.take(6).await, expected);
}

#[tokio::test(start_paused = true)]
async fn null_is_sent_and_acknowledged() {
    let (sender, mut seen) = log();
    let network = Network::raw(move |text| {
        let _ = text.map(|text| sender.send(text.to_owned()));
        match text {
            Some("0") => vec![
                GRANTED.into(),
                r#"27["json",null]"#.into(),
                r#"28["json","cut \ud83d"]"#.into(),
                r#"29["cut \ud83d",1e400]"#.into(),
            ],
            Some(text) if text.starts_with("20[") => vec!["30[null]".into()],
            _ => Vec::new(),
        }
    });
    let socket = network.socket("/");
    socket.on("json", |Data(value): Data<Value>| async move { value });
    socket.on("cut \u{fffd}", |Data(value): Data<Value>| async move { value });
    within(socket.connect()).await.unwrap();
    assert_eq!(seen.take(4).await, ["0", "37[null]", "38[\"cut \u{fffd}\"]", "39[null]"]);
    assert_eq!(socket.emit_with_ack::<Value>("ask", &json!(null)).await.unwrap(), Value::Null);
    socket.emit("x", &Value::Null).unwrap();
    socket.emit("x", &None::<u8>).unwrap();
    socket.emit("x", &()).unwrap();
    let expected = [r#"20["ask",null]"#, r#"2["x",null]"#, r#"2["x",null]"#, r#"2["x"]"#];
    assert_eq!(seen.take(4).await, expected);
}

#[tokio::test(start_paused = true)]
async fn events_before_connect_are_kept_until_it_is_granted() {
    let network = Network::raw(|text| match text {
        Some(_) => vec![r#"2["early",1]"#.into(), r#"2["early",2]"#.into(), GRANTED.into()],
        None => vec![r#"2["earlier"]"#.into()],
    });
    let socket = network.socket("/");
    let (sender, mut seen) = log();
    let events = sender.clone();
    socket.on_any(move |socket: socketio_client::Socket, args: socketio_client::Args| {
        let _ = events.send(format!("{} {}", args.raw(), socket.is_connected()));
        async {}
    });
    socket.on_connect(move || {
        let _ = sender.send("connect".into());
        async {}
    });
    socket.open();
    assert_eq!(seen.take(4).await, [" true", "1 true", "2 true", "connect"]);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_packet_ends_the_connection() {
    for garbage in ["x", "2{}", "2[\"disconnect\"]", "51-[\"a\"]", "59-[\"a\"", "511-[\"a\"]"] {
        let network = Network::raw(move |text| match text {
            Some("0") => vec![GRANTED.into()],
            Some(_) => vec![garbage.into(), "2[\"next\"]".into()],
            None => Vec::new(),
        });
        let socket = network.socket("/");
        let mut life = connection_events(&socket);
        within(socket.connect()).await.unwrap();
        socket.emit("go", &()).unwrap();
        let expected = ["connect", "disconnect: parse error", "connect"];
        assert_eq!(life.take(3).await, expected, "{garbage}");
        network.down();
    }
}

#[tokio::test(start_paused = true)]
async fn unexpected_packets_are_ignored() {
    let network = Network::raw(move |text| match text {
        Some("0") => vec![GRANTED.into()],
        Some(_) => {
            ["39[1]", "3[1]", "2/other,[\"a\"]", "4{\"message\":\"x\"}", "1/other,", "2[\"end\"]"]
                .map(String::from)
                .into()
        }
        None => Vec::new(),
    });
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    within(socket.connect()).await.unwrap();
    let mut events = socket.events();
    socket.emit("go", &()).unwrap();
    assert_eq!(within(events.next()).await.unwrap().event(), "end");
    settle().await;
    assert_eq!(life.rest(), ["connect"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_namespace_reports_the_disconnection() {
    let network = Network::raw(|_| Vec::new());
    let socket = network.socket("/");
    let mut life = connection_events(&socket);
    let waiting = socket.clone();
    let connecting = tokio::spawn(async move { waiting.connect().await });
    settle().await;
    network.down();
    let error = within(connecting).await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Closed(_)), "{error}");
    assert_eq!(life.next().await, "disconnect: transport close");
}
