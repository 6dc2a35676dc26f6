//! Missing auth is `{}`, as in Node, where `socket.handshake.auth` is an empty object.

use crate::support;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use socketio_server::{Auth, Data, NamespaceRequest, NamespaceVerdict, Socket};
use support::{failures, server};

#[derive(Debug, Deserialize, PartialEq)]
struct Optional {
    token: Option<String>,
    #[serde(default)]
    tries: u32,
}

#[derive(Debug, Deserialize)]
struct Required {
    #[serde(rename = "token")]
    _token: String,
}

#[tokio::test]
async fn a_type_with_optional_fields_decodes_from_missing_auth() {
    let server = server().await;
    let none = || Optional { token: None, tries: 0 };
    server.io.on("extractor", move |Auth(auth): Auth<Optional>| async move { auth == none() });
    server.io.on("method", move |socket: Socket| async move {
        Ok::<_, socketio_server::HandlerError>(socket.auth::<Optional>()? == none())
    });
    server.io.on("value", |Auth(auth): Auth<Value>| async move { auth == json!({}) });
    server.io.on("map", |Auth(auth): Auth<HashMap<String, u32>>| async move { auth.is_empty() });
    server.io.on("unit", |_: Auth<()>| async { true });
    server.io.on("option", |Auth(auth): Auth<Option<Required>>| async move { auth.is_none() });
    server.io.on("absent", |auth: Option<Auth<Optional>>| async move { auth.is_none() });
    server.io.use_(|Data(auth): Data<Optional>| async move {
        assert_eq!(auth.token, None);
        support::Done::Ok(())
    });
    server.io.on("required", |_: Auth<Required>| async { true });
    server.io.of_fn(|request: NamespaceRequest| async move {
        request.auth::<Optional>()?;
        Ok(NamespaceVerdict::Accept)
    });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    for event in ["extractor", "method", "value", "map", "unit", "option", "absent"] {
        client.send(&format!("421[\"{event}\"]")).await;
        client.expect("431[true]").await;
    }
    client.send(r#"421["required"]"#).await;
    client.expect(r#"431[{"error":"invalid auth"}]"#).await;
    assert!(failures.next().await.starts_with("required Extract: "));
    client.connect("/of the function").await;
}
