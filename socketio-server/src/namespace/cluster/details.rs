//! The description of a socket for other nodes.

use socketio_adapter::SocketDetails;
use socketio_parser::{Object, Value, javascript_time, value};

use crate::socket::inner::SocketInner;

pub(crate) fn details(socket: &SocketInner) -> SocketDetails {
    let shared = socket.with_stored(|stored| stored.shared());
    // Node's servers and its Admin UI expect an object where nothing was set.
    let mut data = match shared.as_deref() {
        None | Some(serde_json::Value::Null) => Value::Object(Object::new()),
        Some(shared) => shared.clone().into(),
    };
    if socket.namespace.0.on_shared.get().is_some() {
        add_client(socket, &mut data);
    }
    SocketDetails {
        id: socket.id.clone(),
        handshake: handshake(socket),
        rooms: socket.namespace.hub().rooms_of(&socket.id),
        data,
    }
}

/// Adds the client of a socket to its data, where Node's Admin UI looks for it. A whole session id
/// would let the page impersonate the client.
fn add_client(socket: &SocketInner, data: &mut Value) {
    if let Value::Object(data) = data {
        let handle = &socket.client.handle;
        let client = handle.sid().get(..12).unwrap_or_default();
        let transport = handle.transport().as_str();
        data.insert("_admin".into(), value!({ "clientId": client, "transport": transport }));
    }
}

/// Returns the fields of which Node's servers build a handshake.
fn handshake(socket: &SocketInner) -> Value {
    let handshake = socket.client.handle.handshake();
    let mut headers = Object::new();
    for (name, value) in &handshake.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(Value::String(former)) => *former = format!("{former}, {value}"),
            _ => drop(headers.insert(name.as_str().into(), (*value).into())),
        }
    }
    let query: Object =
        handshake.query().into_iter().map(|(name, value)| (name, value.into())).collect();
    let issued = handshake.issued().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let issued = u64::try_from(issued.as_millis()).unwrap_or_default();
    let address = handshake.client_ip().map(|address| address.to_string());
    let auth: Option<serde_json::Value> = socket.auth.as_ref().and_then(|auth| auth.decode().ok());
    value!({
        "headers": headers,
        "time": javascript_time(issued as i64),
        "address": address.unwrap_or_default(),
        "xdomain": handshake.is_cross_domain(),
        "secure": handshake.secure(),
        "issued": issued,
        "url": handshake.url(),
        "query": query,
        "auth": auth.map_or_else(|| Value::Object(Object::new()), Value::from)
    })
}
