//! While the transport changes, all messages in both directions arrive once and in order.

use crate::support;

use std::collections::VecDeque;

use engineio_server::{EngineConfig, Event, PacketData};
use support::{Message, PendingAnswer, Server, poll_once, within};

const EACH: usize = 300;

#[tokio::test]
async fn nothing_is_lost_across_an_upgrade() {
    // The client switches at a different point of the traffic each time.
    for before in [0, 1, 7, 50] {
        upgrade_after(before).await;
    }
}

async fn upgrade_after(before: usize) {
    let (server, mut connections) = Server::manual(EngineConfig::default()).await;
    let sid = server.open().await;
    let mut connection = connections.recv().await.unwrap();
    let handle = connection.handle().clone();

    // The application keeps sending, and checks what it receives.
    let application = tokio::spawn(async move {
        let mut received = 0;
        loop {
            match connection.event().await {
                Event::Message(PacketData::Text(text)) => {
                    assert_eq!(text, format!("up{received}"));
                    received += 1;
                }
                Event::Closed(_) => return received,
                _ => {}
            }
        }
    });
    let sender = tokio::spawn(async move {
        for n in 0..EACH {
            handle.send(format!("down{n}")).unwrap();
            tokio::task::yield_now().await;
        }
    });

    let mut down = VecDeque::new();
    let mut sent = 0;
    let mut get: Option<PendingAnswer> = None;
    for _ in 0..before {
        within(server.post(&sid, format!("4up{sent}"))).await.is(200, "ok");
        sent += 1;
        poll(&server, &sid, &mut get, &mut down).await;
    }

    let mut websocket = server.probe(&sid).await;
    websocket.send("2probe").await;
    for _ in 0..before {
        within(server.post(&sid, format!("4up{sent}"))).await.is(200, "ok");
        sent += 1;
        poll(&server, &sid, &mut get, &mut down).await;
    }
    assert_eq!(websocket.text().await, "3probe");
    // The client pauses polling: its last GET ends.
    if let Some(get) = get.take() {
        take(&within(get).await.body, &mut down);
    }
    websocket.send("5").await;
    while sent < EACH {
        websocket.send(format!("4up{sent}")).await;
        sent += 1;
    }
    while down.len() < EACH {
        match websocket.next().await {
            Some(Message::Text(text)) => take(text.as_str(), &mut down),
            other => panic!("{other:?}"),
        }
    }
    let expected: VecDeque<_> = (0..EACH).map(|n| format!("4down{n}")).collect();
    assert_eq!(down, expected, "upgraded after {before}");
    within(sender).await.unwrap();
    websocket.send(Message::Close(None)).await;
    assert_eq!(within(application).await.unwrap(), EACH);
}

/// Keeps one GET pending and collects the packets of each response.
async fn poll(
    server: &Server,
    sid: &str,
    get: &mut Option<PendingAnswer>,
    down: &mut VecDeque<String>,
) {
    let pending = get.get_or_insert_with(|| server.get(sid));
    if let Some(answer) = poll_once(pending).await {
        assert_eq!(answer.status, 200);
        take(&answer.body, down);
        *get = None;
    }
}

fn take(body: &str, down: &mut VecDeque<String>) {
    down.extend(body.split('\x1e').filter(|packet| *packet != "6").map(str::to_owned));
}
