//! A client without a known, unexpired and complete session gets a new one, as if it had claimed
//! none.

use crate::support;

use std::time::Duration;

use socketio_server::{Recovery, ServerConfig, Socket};
use support::{Client, Running, log, server, server_with, sockets, until, within};
use tokio::sync::mpsc::UnboundedReceiver;

struct Lost {
    server: Running,
    connected: UnboundedReceiver<Socket>,
    socket: Socket,
    sid: String,
    pid: String,
    offset: String,
}

/// A client that has received one event and then left in some way.
async fn after(recovery: Recovery, leave: impl AsyncFnOnce(&Socket, Client)) -> Lost {
    let config = ServerConfig::default()
        .connection_state_recovery(recovery)
        .engine(|engine| engine.max_queued_packets(100));
    let server = server_with(config).await;
    let mut connected = sockets(&server.io.of("/"));
    let (client, sid, pid, offset) = server.client_with_offset().await;
    let socket = within(connected.recv()).await.unwrap();
    leave(&socket, client).await;
    until(|| server.io.of("/").sockets_count() == 0).await;
    Lost { server, connected, socket, sid, pid, offset }
}

impl Lost {
    async fn recovers(&mut self) -> bool {
        let (pid, offset) = (self.pid.clone(), self.offset.clone());
        self.recovers_as(&pid, &offset).await
    }

    /// Returns whether this id and offset recover the session. A new session shares nothing with
    /// the old one.
    async fn recovers_as(&mut self, pid: &str, offset: &str) -> bool {
        let mut client = self.server.open().await;
        client.claim(pid, offset).await;
        let mut text = client.text().await;
        while text.starts_with("42") {
            text = client.text().await;
        }
        let socket = within(self.connected.recv()).await.unwrap();
        assert_eq!(socket.recovered(), socket.id() == self.sid);
        assert_eq!(socket.recovered(), text.contains(&self.pid), "{text}");
        client.close().await;
        until(|| self.server.io.of("/").sockets_count() == 0).await;
        socket.recovered()
    }
}

async fn reset(_: &Socket, client: Client) {
    client.reset();
}

#[tokio::test]
async fn a_deliberate_disconnection_ends_the_session() {
    let mut lost = after(Recovery::default(), async |socket, mut client| {
        client.send("41").await;
        within(socket.disconnected()).await;
        client.close().await;
    })
    .await;
    assert!(!lost.recovers().await);
    let mut lost = after(Recovery::default(), async |socket, mut client| {
        socket.disconnect();
        client.expect("41").await;
    })
    .await;
    assert!(lost.socket.emit("late", &1).is_err());
    assert!(!lost.recovers().await);
}

#[tokio::test]
async fn a_wrong_private_id_or_offset_recovers_nothing() {
    let mut lost = after(Recovery::default(), reset).await;
    let (pid, offset) = (lost.pid.clone(), lost.offset.clone());
    assert!(!lost.recovers_as("x", &offset).await);
    assert!(!lost.recovers_as(&pid, "999").await);
    assert!(!lost.recovers_as(&pid, "").await);
    let sid = lost.sid.clone();
    assert!(!lost.recovers_as(&sid, &offset).await);
    // The session can still be recovered.
    assert!(lost.recovers().await);
}

#[tokio::test]
async fn a_session_that_missed_more_than_the_log_holds_is_not_recovered() {
    let cases = [
        (Recovery::default().max_packets(3), 4, false),
        (Recovery::default().max_packets(4), 4, true),
        (Recovery::default().max_bytes(1000), 10, false),
        // More events than the client's queue can hold.
        (Recovery::default(), 100, false),
        (Recovery::default(), 99, true),
    ];
    for (recovery, missed, expected) in cases {
        let mut lost = after(recovery.clone(), reset).await;
        for n in 0..missed {
            lost.server.io.emit("missed", &n).unwrap();
        }
        assert_eq!(lost.recovers().await, expected, "{missed} missed with {recovery:?}");
    }
}

#[tokio::test]
async fn a_session_beyond_the_limit_is_not_recovered() {
    let mut lost = after(Recovery::default().max_sessions(1), reset).await;
    let mut other = lost.server.open().await;
    other.send("40").await;
    other.recoverable().await;
    let _ = within(lost.connected.recv()).await;
    other.reset();
    until(|| lost.server.io.of("/").sockets_count() == 0).await;
    assert!(!lost.recovers().await);
}

#[tokio::test]
async fn an_expired_session_is_freed_and_not_recovered() {
    let recovery = Recovery::default().max_disconnection_duration(Duration::from_secs(2));
    let (dropped, mut drops) = log();
    struct OnDrop(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let mut lost = after(recovery, async move |socket, client| {
        socket.set_data(OnDrop(dropped));
        client.reset();
    })
    .await;
    lost.socket.emit("while it may come back", &1).unwrap();
    until(|| lost.socket.emit("late", &1).is_err()).await;
    // Only this handle refers to the session now.
    let mut other = lost.server.open().await;
    other.send("40").await;
    other.recoverable().await;
    lost.socket = within(lost.connected.recv()).await.unwrap();
    drops.next().await;
    other.reset();
    until(|| lost.server.io.of("/").sockets_count() == 0).await;
    assert!(!lost.recovers().await);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_recovered_until_its_time_has_passed() {
    let time = Duration::from_secs(3600);
    for (away, expected) in [(time * 9 / 10, true), (time * 11 / 10, false)] {
        let recovery = Recovery::default().max_disconnection_duration(time);
        let mut lost = after(recovery, reset).await;
        tokio::time::sleep(away).await;
        assert_eq!(lost.recovers().await, expected, "{away:?}");
    }
}

#[tokio::test]
async fn no_session_is_recovered_with_recovery_off() {
    let server = server().await;
    let mut client = server.open().await;
    client.claim("x", "y").await;
    client.connected("/").await;
    server.io.emit("plain", &1).unwrap();
    client.expect(r#"42["plain",1]"#).await;
}

#[tokio::test]
async fn a_child_namespace_stays_while_its_sessions_can_be_recovered() {
    let recovery = Recovery::default().max_disconnection_duration(Duration::from_secs(2));
    let server = server_with(ServerConfig::default().connection_state_recovery(recovery)).await;
    let (made, mut namespaces) = log();
    server.io.on_new_namespace(move |namespace| {
        let _ = made.send(namespace.name().to_owned());
    });
    let parent = server.io.of_pattern("/room/{id}").unwrap();
    parent.on_connection(|socket: Socket| async move {
        socket.emit("hello", &())?;
        Ok(())
    });
    let mut client = server.open().await;
    client.send("40/room/1,").await;
    let grant = client.text().await;
    assert_eq!(client.text().await, r#"42/room/1,["hello","1"]"#);
    assert_eq!(namespaces.next().await, "/room/1");
    client.close().await;

    let mut client = server.open().await;
    let pid = grant.split(r#""pid":""#).nth(1).unwrap().trim_end_matches(r#""}"#);
    client.send(&format!(r#"40/room/1,{{"pid":"{pid}","offset":"1"}}"#)).await;
    assert_eq!(client.text().await, grant);
    client.close().await;
    // The namespace is removed when the session expires. The next client creates it again.
    within(async {
        while namespaces.rest().is_empty() {
            let mut visitor = server.open().await;
            visitor.burst(&["40/room/1,", "41/room/1,"]).await;
            visitor.text().await;
            visitor.close().await;
        }
    })
    .await;
}
