//! Events and acks in both directions.

use serde_json::{Value, json};
use socketio_client::{Ack, Data};
use socketio_parser::Binary;

use crate::support::{
    case::{Case, everywhere},
    received, within,
};

everywhere!(
    values_come_back_as_they_were_sent,
    binary_comes_back_at_any_depth,
    acks_come_from_the_server,
    acks_go_to_the_server,
    thousands_of_acks_arrive_at_once,
    many_events_keep_their_order,
    large_events_pass,
    rooms_are_the_servers,
    the_next_event_can_be_awaited,
);

async fn values_come_back_as_they_were_sent(case: Case) {
    let socket = case.connected().await;
    let mut echo = received::events::<(Value, Value, Value)>(&socket, "echo");
    let deep = json!({ "a": [1, -2.5, null, true, { "ü": "€ 𝄞 \u{0} \n \u{1e}" }], "n": 9_007_199_254_740_991_u64 });
    socket.emit("echo", &(&deep, "", [0_u8; 0])).unwrap();
    assert_eq!(echo.next().await, (deep, json!(""), json!([])));
    let mut nothing = received::events::<()>(&socket, "echo");
    socket.emit("echo", &()).unwrap();
    nothing.next().await;
}

async fn binary_comes_back_at_any_depth(case: Case) {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct File {
        name: String,
        parts: Vec<Binary>,
    }
    let socket = case.connected().await;
    let mut echo = received::events::<(File, Binary)>(&socket, "echo");
    let all: Vec<u8> = (0..=255).collect();
    let file = || File {
        name: "f".into(),
        parts: vec![Binary(all.clone().into()), Binary(vec![].into())],
    };
    for n in 0..3_u8 {
        let last = Binary(vec![n; 3000].into());
        socket.emit("echo", &(file(), &last)).unwrap();
        assert_eq!(echo.next().await, (file(), last));
    }
}

async fn acks_come_from_the_server(case: Case) {
    let socket = case.connected().await;
    let ack: (Value, Binary) =
        socket.emit_with_ack("ack", &(json!({ "x": 1 }), Binary(vec![1, 2].into()))).await.unwrap();
    assert_eq!(ack, (json!({ "x": 1 }), Binary(vec![1, 2].into())));
    let sums = (0..50_u32).map(|n| {
        let socket = socket.clone();
        tokio::spawn(async move { socket.emit_with_ack::<u32>("ack", &n).await.unwrap() })
    });
    for (n, sum) in sums.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(sum.await.unwrap() as usize, n);
    }
}

async fn acks_go_to_the_server(case: Case) {
    let socket = case.client("/");
    socket.on("question", |Data((a, b)): Data<(u32, Binary)>, ack: Ack| async move {
        ack.send(&(a + 1, b))?;
        Ok(())
    });
    let mut answered = received::events::<(u32, Binary)>(&socket, "answered");
    case.connect(&socket).await;
    socket.emit("ask", &(41, Binary(vec![7].into()))).unwrap();
    assert_eq!(answered.next().await, (42, Binary(vec![7].into())));
}

async fn thousands_of_acks_arrive_at_once(case: Case) {
    const COUNT: u32 = 3000;
    for offline in [false, true] {
        let socket = if offline { case.client("/") } else { case.connected().await };
        let ask = |n| {
            let socket = socket.clone();
            tokio::spawn(async move { socket.emit_with_ack::<u32>("ack", &n).await.unwrap() })
        };
        let acks: Vec<_> = (0..COUNT).map(ask).collect();
        within(socket.connect()).await.unwrap();
        for (n, ack) in acks.into_iter().enumerate() {
            assert_eq!(within(ack).await.unwrap() as usize, n);
        }
    }
}

async fn many_events_keep_their_order(case: Case) {
    const COUNT: u32 = 2000;
    let socket = case.client("/");
    let mut echo = received::events::<(u32, socketio_client::Value)>(&socket, "echo");
    // Some events are emitted before the connection, some around the upgrade, some after it.
    for n in 0..COUNT {
        if n == COUNT / 4 {
            socket.connect().await.unwrap();
        }
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
        let binary = Binary(n.to_be_bytes().to_vec().into());
        if n % 7 == 0 {
            socket.emit("echo", &(n, binary)).unwrap();
        } else {
            socket.emit("echo", &(n, "text")).unwrap();
        }
    }
    for n in 0..COUNT {
        assert_eq!(echo.next().await.0, n);
    }
}

async fn large_events_pass(case: Case) {
    let socket = case.connected().await;
    let text: String = socket.emit_with_ack("large", &600_000).await.unwrap();
    assert_eq!(text.len(), 600_000);
    let back: String = socket.emit_with_ack("ack", &text).await.unwrap();
    assert!(back == text);
    let binary = Binary(vec![9; 400_000].into());
    let back: Binary = socket.emit_with_ack("ack", &binary).await.unwrap();
    assert!(back == binary);
}

async fn rooms_are_the_servers(case: Case) {
    let (one, other) = (case.connected().await, case.connected().await);
    let room = format!("room of {:?}", one.id());
    let mut cast = received::events::<u32>(&one, "cast");
    let mut not = received::events::<u32>(&other, "cast");
    one.emit_with_ack::<()>("join", &room).await.unwrap();
    other.emit("cast", &(&room, 5)).unwrap();
    assert_eq!(cast.next().await, 5);
    one.emit_with_ack::<()>("leave", &room).await.unwrap();
    other.emit("cast", &(&room, 6)).unwrap();
    other.emit_with_ack::<()>("ack", &()).await.unwrap();
    one.emit_with_ack::<()>("ack", &()).await.unwrap();
    assert_eq!((cast.take_received(), not.take_received()), (vec![], vec![]));
}

async fn the_next_event_can_be_awaited(case: Case) {
    let socket = case.client("/");
    let welcome = socket.next::<Value>("welcome");
    case.connect(&socket).await;
    within(welcome).await.unwrap();
    let echo = socket.next::<(u32, Binary)>("echo");
    for n in 0..2_u32 {
        socket.emit("echo", &(n, Binary(vec![7].into()))).unwrap();
    }
    assert_eq!(within(echo).await.unwrap(), (0, Binary(vec![7].into())));
    let kicked = socket.next::<Value>("welcome");
    socket.emit("kick", &()).unwrap();
    let reason = within(kicked).await.unwrap_err();
    assert_eq!(reason.to_string(), "io server disconnect");
}
