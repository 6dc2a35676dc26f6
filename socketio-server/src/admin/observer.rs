//! Reports the sockets, rooms and events of a namespace to the Admin UI in development mode.

use std::sync::Arc;

use engineio_server::Transport;
use socketio_adapter::SocketDetails;
use socketio_parser::{Args, Object, Value, value};
use tokio::{runtime::Handle, time::Duration};

use super::{Page, timestamp};
use crate::{
    error::DisconnectReason,
    namespace::{
        Namespace,
        cluster::{FetchError, details},
        room_change::RoomChange,
    },
    socket::Socket,
};

/// The interval at which a socket on polling is checked for an upgrade of its connection.
const UPGRADE_INTERVAL: Duration = Duration::from_secs(1);
const UPGRADE_CHECKS: u32 = 30;

pub(super) fn observe(page: &Arc<Page>, namespace: &Namespace, runtime: &Handle) {
    let it = page.clone();
    namespace.set_shared_listener(move |socket: &Socket| {
        it.emit(
            "socket_updated",
            &value!({
                "id": socket.id(),
                "nsp": socket.nsp().as_str(),
                "data": socket.shared::<serde_json::Value>().map(Value::from).unwrap_or_default()
            }),
        );
    });
    let it = page.clone();
    namespace.on_connection(move |socket: Socket| {
        it.emit(
            "socket_connected",
            &(serialized(details(&socket.0), socket.nsp().as_str()), timestamp()),
        );
        let page = it.clone();
        async move {
            if socket.conn().transport() == Transport::Polling {
                tokio::spawn(report_upgrade(page, socket));
            }
        }
    });
    let it = page.clone();
    namespace.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        let args = (socket.nsp().as_str(), socket.id(), reason.to_string(), timestamp());
        it.emit("socket_disconnected", &args);
        async {}
    });
    let (it, name) = (page.clone(), namespace.name().to_owned());
    let mut changes = namespace.room_changes();
    runtime.spawn(async move {
        while let Some(change) = changes.next().await {
            let (event, room, id) = match &change {
                RoomChange::Joined { room, id } => ("room_joined", room, id),
                RoomChange::Left { room, id } => ("room_left", room, id),
                _ => continue,
            };
            it.emit(event, &(&name, room.as_str(), &**id, timestamp()));
        }
    });
    if page.is_own(namespace) {
        return;
    }
    let it = page.clone();
    namespace.prepend_any(move |socket: Socket, args: Args| {
        report_event(&it, "event_received", &socket, &args);
        async {}
    });
    let it = page.clone();
    namespace.on_any_outgoing(move |socket, args| report_event(&it, "event_sent", socket, args));
}

fn report_event(page: &Page, event: &str, socket: &Socket, args: &Args) {
    if page.watched().is_none() {
        return;
    }
    let mut list = vec![Value::from(args.event())];
    list.extend(args.values().unwrap_or_default());
    page.emit(event, &(socket.nsp().as_str(), socket.id(), Value::Array(list), timestamp()));
}

/// Reports when the connection of a socket leaves polling. Most clients do so within a second.
async fn report_upgrade(page: Arc<Page>, socket: Socket) {
    let socket = socket.downgrade();
    for _ in 0..UPGRADE_CHECKS {
        tokio::time::sleep(UPGRADE_INTERVAL).await;
        let Some(socket) = socket.upgrade().filter(Socket::is_connected) else { return };
        let transport = socket.conn().transport();
        if transport != Transport::Polling {
            page.emit(
                "socket_updated",
                &value!({
                    "id": socket.id(),
                    "nsp": socket.nsp().as_str(),
                    "transport": transport.as_str()
                }),
            );
            return;
        }
    }
}

/// Returns the sockets of a namespace on all nodes that answer.
pub(super) async fn fetch(namespace: &Namespace) -> Vec<Value> {
    let sockets = match namespace.fetch_sockets().await {
        Ok(sockets) | Err(FetchError::Partial { sockets, .. }) => sockets,
        Err(_) => Vec::new(),
    };
    sockets.into_iter().map(|socket| serialized(socket.into_details(), namespace.name())).collect()
}

/// Returns a socket as the page expects it.
fn serialized(details: SocketDetails, nsp: &str) -> Value {
    let mut data = match details.data {
        Value::Object(data) => data,
        _ => Object::new(),
    };
    let admin = data.remove("_admin").unwrap_or_default();
    let member = |name: &str| admin.get(name).cloned().unwrap_or_default();
    let (client, transport) = (member("clientId"), member("transport"));
    let mut handshake = details.handshake;
    if let Value::Object(handshake) = &mut handshake {
        handshake.remove("auth");
    }
    let rooms: Vec<Value> = details.rooms.iter().map(|room| Value::from(room.as_str())).collect();
    value!({
        "id": details.id.to_string(),
        "clientId": client,
        "transport": transport,
        "nsp": nsp,
        "data": data,
        "handshake": handshake,
        "rooms": rooms
    })
}
