//! The log of a busy session at level `trace` holds no secret: no auth, no cookie, no private id,
//! and no session id that would let a reader act as the client.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]

#[path = "behaviour/support/mod.rs"]
mod support;

use std::{
    io,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Full};
use socketio_server::{Auth, Data, HandlerError, Recovery, ServerConfig, Socket};
use support::{server_with, until};
use tracing_subscriber::fmt::MakeWriter;

/// The logged text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[derive(serde::Deserialize)]
struct Credentials {
    #[expect(dead_code, reason = "only read from what the client sends")]
    token: Option<String>,
}

#[tokio::test]
async fn the_log_of_a_busy_session_contains_no_secrets() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        // The WebSocket library of the test's client logs what the client sends.
        .with_env_filter("trace,tungstenite=off,tokio_tungstenite=off")
        .with_ansi(false)
        .with_writer(lines.clone())
        .init();
    let config = ServerConfig::default().connection_state_recovery(Recovery::default());
    let server = server_with(config).await;
    server.io.of("/typed").use_(|Auth(_): Auth<u32>| async {});
    server.io.use_(|Auth(_): Auth<Credentials>| async {});
    server.io.on("fails", |_: Socket, Data(_): Data<u32>| async { Err::<(), _>("failed".into()) });
    server.io.on("fails", |_: Data<u32>| async { Err::<(), _>(HandlerError::from("failed")) });
    let auth = r#"{"token":"SECRET-TOKEN"}"#;

    // One session over WebSocket, lost and recovered.
    let mut client = server.open().await;
    client.send(&format!("40{auth}")).await;
    let (id, pid) = client.recoverable().await;
    server.io.emit("news", &"SECRET-NEWS").unwrap();
    let offset = client.recorded().await.1;
    client.burst(&[r#"42["fails",1]"#, r#"42["fails","SECRET-ARG"]"#, r#"42["unknown"]"#]).await;
    client.fence().await;
    client.reset();
    until(|| server.io.of("/").sockets_count() == 0).await;
    let mut client = server.open().await;
    client.claim(&pid, &offset).await;
    client.recoverable().await;
    for refused in ["40/nowhere,", r#"40/typed,{"token":"SECRET-TOKEN"}"#] {
        client.send(refused).await;
        assert!(client.text().await.starts_with("44/"));
    }
    client.send("4x").await;
    client.rest().await;

    // One session over polling, with a cookie, refused and closed for a protocol violation.
    let uri = "/socket.io/?EIO=4&transport=polling&key=SECRET-QUERY";
    let request = http::Request::builder().uri(uri).header("cookie", "name=SECRET-COOKIE");
    let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
    let body = server.io.engine().handle(request).await.into_body();
    let body = body.collect().await.unwrap().to_bytes();
    let open: serde_json::Value = serde_json::from_slice(&body[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap();
    server.request("POST", sid, &format!("40{auth}")).await;
    server.request("GET", sid, "").await;
    server.request("POST", sid, "garbage").await;
    server.request("GET", sid, "").await;
    until(|| server.io.of("/").sockets_count() == 0).await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for target in
        ["engineio::session", "socketio::client", "socketio::namespace", "socketio::socket"]
    {
        assert!(text.contains(target), "{target} says nothing in\n{text}");
    }
    let handler = format!("event{{name=\"fails\" nsp=/ sid=\"{id}\"}}");
    for shown in ["session{id=", &handler] {
        assert!(text.contains(shown), "no {shown} in\n{text}");
    }
    for secret in ["SECRET", &pid, sid] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}
