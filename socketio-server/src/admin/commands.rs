//! The commands of the Admin UI. They act on a namespace that exists, or on one of its rooms.

use std::sync::Arc;

use socketio_adapter::Room;
use socketio_parser::{Args, Value};

use super::Page;
use crate::{namespace::Namespace, namespace::broadcast::Broadcast};

pub(super) fn declare(page: &Arc<Page>, namespace: &Namespace) {
    on(page, namespace, "emit", |target, args| {
        // The page sends the room, the event and its arguments.
        let [filter, event, args @ ..] = args else { return };
        if let Some(event) = event.as_str() {
            let _ = select(target, Some(filter)).emit(event, &Arguments(args));
        }
    });
    on(page, namespace, "join", |target, args| {
        if let Some(room) = args.first().and_then(Value::as_str) {
            let _ = select(target, args.get(1)).sockets_join(room);
        }
    });
    on(page, namespace, "leave", |target, args| {
        if let Some(room) = args.first().and_then(Value::as_str) {
            let _ = select(target, args.get(1)).sockets_leave(room);
        }
    });
    on(page, namespace, "_disconnect", |target, args| {
        let close = args.first() == Some(&Value::Bool(true));
        let _ = select(target, args.get(1)).disconnect(close);
    });
}

/// Adds a handler of a command. It gets the namespace that the command names, and the arguments
/// after it.
fn on(
    page: &Arc<Page>,
    namespace: &Namespace,
    command: &str,
    run: impl Fn(&Namespace, &[Value]) + Send + Sync + 'static,
) {
    let page = page.clone();
    namespace.on(command, move |args: Args| {
        if let Ok(values) = args.values()
            && let [name, rest @ ..] = &values[..]
            && let Some(target) = name.as_str().and_then(|name| page.namespace_named(name))
        {
            run(&target, rest);
        }
        async {}
    });
}

/// Selects the sockets of a room, or without one of the namespace.
fn select(namespace: &Namespace, filter: Option<&Value>) -> Broadcast {
    match filter.and_then(Value::as_str) {
        Some(room) => namespace.to(Room::from(room)),
        None => namespace.broadcast(),
    }
}

/// A list of arguments, each of which is one argument of an event.
struct Arguments<'a>(&'a [Value]);

impl serde::Serialize for Arguments<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut list = serializer.serialize_tuple(self.0.len())?;
        for value in self.0 {
            list.serialize_element(value)?;
        }
        list.end()
    }
}
