//! Namespaces, auth, and refusals.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use socketio_client::{ConnectError, HandlerError, Manager};

use crate::support::{
    case::{Case, client, everywhere},
    received, within,
};

everywhere!(
    namespaces_share_a_connection,
    a_socket_comes_back_at_once,
    the_server_receives_auth,
    a_refusal_includes_its_data,
    an_unknown_namespace_is_refused,
    auth_is_requested_for_each_attempt,
);

async fn namespaces_share_a_connection(case: Case) {
    let manager = Manager::with_config(&case.url(), case.config()).unwrap();
    let (root, chat) = (manager.socket("/"), manager.socket("/chat"));
    case.connect(&root).await;
    case.connect(&chat).await;
    let mut to_root = received::events::<u32>(&root, "echo");
    let mut to_chat = received::events::<u32>(&chat, "echo");
    for n in 0..20 {
        root.emit("echo", &n).unwrap();
        chat.emit("echo", &(n + 100)).unwrap();
    }
    for n in 0..20 {
        assert_eq!((to_root.next().await, to_chat.next().await), (n, n + 100));
    }
    // One leaves, the other stays.
    let mut left = received::disconnections(&chat);
    chat.disconnect();
    assert_eq!(left.next().await.to_string(), "io client disconnect");
    assert_eq!(root.emit_with_ack::<u32>("ack", &1).await.unwrap(), 1);
    // The socket connects again over the same connection.
    case.connect(&chat).await;
    assert_eq!(chat.emit_with_ack::<u32>("ack", &2).await.unwrap(), 2);
}

async fn a_socket_comes_back_at_once(case: Case) {
    let manager = Manager::with_config(&case.url(), case.config()).unwrap();
    let (root, chat) = (manager.socket("/"), manager.socket("/chat"));
    case.connect(&root).await;
    let mut ends = received::disconnections(&root);
    for _ in 0..2 {
        root.disconnect();
        case.connect(&root).await;
        assert_eq!(ends.next().await.to_string(), "io client disconnect");
        assert_eq!(root.emit_with_ack::<u32>("ack", &1).await.unwrap(), 1);
        // Once alone, and once beside another namespace.
        case.connect(&chat).await;
    }
    let id = chat.id();
    assert_eq!(chat.emit_with_ack::<u32>("ack", &2).await.unwrap(), 2);
    assert_eq!(chat.id(), id, "it was not disturbed");
}

async fn the_server_receives_auth(case: Case) {
    let auth = json!({ "token": "abc", "deep": { "n": [1] } });
    let config = case.config().socket(|socket| socket.auth(&auth));
    let socket = client(&case.url(), "/chat", config);
    let mut welcome = received::events::<Value>(&socket, "welcome");
    case.connect(&socket).await;
    assert_eq!(welcome.next().await, auth);
}

async fn a_refusal_includes_its_data(case: Case) {
    let socket = case.client("/locked");
    let mut failures = received::connect_errors(&socket);
    let error = within(socket.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "not authorized");
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    let data: Value = error.data().unwrap();
    assert_eq!(data, json!({ "code": "E_AUTH", "token": null }));
    failures.next().await;
    // The client does not try again.
    assert!(!socket.is_active());
}

async fn an_unknown_namespace_is_refused(case: Case) {
    let socket = case.client("/nowhere");
    let error = within(socket.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "Invalid namespace");
}

async fn auth_is_requested_for_each_attempt(case: Case) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let config = case.config().socket(|socket| {
        socket.auth_with(move || {
            let attempt = count.fetch_add(1, Ordering::Relaxed);
            async move {
                let token = if attempt == 0 { "expired" } else { "secret" };
                Ok::<_, HandlerError>(json!({ "token": token, "attempt": attempt }))
            }
        })
    });
    let socket = client(&case.url(), "/locked", config);
    let mut welcome = received::events::<Value>(&socket, "welcome");
    let mut connects = received::connections(&socket);
    let error = within(socket.connect()).await.unwrap_err();
    let data: Value = error.data().unwrap();
    assert_eq!(data.get("token"), Some(&json!("expired")));
    case.connect(&socket).await;
    connects.next().await;
    assert_eq!(welcome.next().await.get("attempt"), Some(&json!(1)));
    // The connection is lost, and the client reconnects by itself.
    socket.emit("lose", &()).unwrap();
    connects.next().await;
    assert_eq!(welcome.next().await.get("attempt"), Some(&json!(2)));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
