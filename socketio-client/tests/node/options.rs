//! Options of the connection, as the server sees them.

use engineio_parser::Transport;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use socketio_client::ConnectError;

use crate::support::{
    case::{Via, client, info, on_servers},
    peer::{self, Program, Setting},
    received, within,
};

on_servers!(
    query_and_headers_reach_the_server,
    base64_is_forced,
    another_transport_is_tried,
    a_transport_that_the_server_does_not_have_fails,
    an_upgrade_is_remembered,
    no_upgrade_happens_if_it_is_disabled,
);

async fn query_and_headers_reach_the_server(program: Program) {
    let url = format!("http://127.0.0.1:{}", peer::shared(program, "json"));
    for via in Via::ALL {
        let config = via.config().engine(|engine| {
            engine
                .query("from", "a test & more=ü")
                .header(HeaderName::from_static("x-test"), HeaderValue::from_static("yes"))
        });
        let socket = client(&url, "/", config);
        within(socket.connect()).await.unwrap();
        let info = info(&socket).await;
        assert_eq!(info.pointer("/query/from"), Some(&json!("a test & more=ü")), "{via:?}");
        assert_eq!(info.get("header"), Some(&json!("yes")), "{via:?}");
        // The query of the URL is used too.
        let socket = client(&format!("{url}/?from=url"), "/", via.config());
        within(socket.connect()).await.unwrap();
        assert_eq!(
            crate::support::case::info(&socket).await.pointer("/query/from"),
            Some(&json!("url"))
        );
    }
}

async fn base64_is_forced(program: Program) {
    let url = format!("http://127.0.0.1:{}", peer::shared(program, "json"));
    for via in Via::ALL {
        let socket = client(&url, "/", via.config().engine(|engine| engine.force_base64(true)));
        let mut echo = received::events::<socketio_parser::Binary>(&socket, "echo");
        within(socket.connect()).await.unwrap();
        let binary = socketio_parser::Binary(vec![0, 255, 1].into());
        socket.emit("echo", &binary).unwrap();
        assert_eq!(echo.next().await, binary);
        let query: Value = info(&socket).await.get("query").cloned().unwrap();
        assert_eq!(query.get("b64"), Some(&json!("1")), "{via:?}");
    }
}

async fn another_transport_is_tried(program: Program) {
    let server = Setting::new(program).with("TRANSPORTS", "websocket").start();
    let both = Via::Upgrade.config().engine(|engine| engine.try_all_transports(true));
    let socket = client(&server.url(), "/", both);
    within(socket.connect()).await.unwrap();
    assert_eq!(info(&socket).await.get("transport"), Some(&json!("websocket")));
    let server = Setting::new(program).with("TRANSPORTS", "polling").start();
    let both = Via::Upgrade.config().engine(|engine| {
        engine.transports([Transport::WebSocket, Transport::Polling]).try_all_transports(true)
    });
    let socket = client(&server.url(), "/", both);
    within(socket.connect()).await.unwrap();
    assert_eq!(info(&socket).await.get("transport"), Some(&json!("polling")));
}

async fn a_transport_that_the_server_does_not_have_fails(program: Program) {
    let server = Setting::new(program).with("TRANSPORTS", "websocket").start();
    let socket = client(&server.url(), "/", Via::Polling.config());
    let error = within(socket.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Transport { .. }), "{error:?}");
    // If the upgrade fails, the session stays with polling.
    let server = Setting::new(program).with("TRANSPORTS", "polling").start();
    let socket = client(&server.url(), "/", Via::Upgrade.config());
    within(socket.connect()).await.unwrap();
    for n in 0..20_u32 {
        assert_eq!(within(socket.emit_with_ack::<u32>("ack", &n)).await.unwrap(), n);
    }
    assert_eq!(info(&socket).await.get("transport"), Some(&json!("polling")));
}

async fn an_upgrade_is_remembered(program: Program) {
    let server = Setting::new(program).start();
    for (remember, first) in [(true, "websocket"), (false, "polling")] {
        let config = Via::Upgrade.config().engine(|engine| engine.remember_upgrade(remember));
        let socket = client(&server.url(), "/", config);
        let mut connects = received::connections(&socket);
        within(socket.connect()).await.unwrap();
        connects.next().await;
        Via::Upgrade.reached(&socket).await;
        socket.emit("lose", &()).unwrap();
        connects.next().await;
        assert_eq!(info(&socket).await.pointer("/query/transport"), Some(&json!(first)));
    }
}

async fn no_upgrade_happens_if_it_is_disabled(program: Program) {
    let server = Setting::new(program).start();
    let config = Via::Upgrade.config().engine(|engine| engine.upgrade(false));
    let socket = client(&server.url(), "/", config);
    within(socket.connect()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(info(&socket).await.get("transport"), Some(&json!("polling")));
    assert_eq!(socket.manager().transport(), Some(Transport::Polling));
}

#[tokio::test]
async fn a_sticky_cookie_is_brought_back() {
    let server = Setting::new(Program::Node(4)).with("COOKIE", 1).start();
    for via in [Via::Polling, Via::Upgrade] {
        let socket = client(&server.url(), "/", via.config());
        within(socket.connect()).await.unwrap();
        via.reached(&socket).await;
        assert_eq!(within(socket.emit_with_ack::<u32>("ack", &1)).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_socket_io_2_server_is_refused_with_a_reason() {
    let server = Setting::new(Program::Node(2)).start();
    for via in Via::ALL {
        let socket = client(&server.url(), "/", via.config());
        let error = within(socket.connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unsupported), "{error:?}");
    }
}
