//! A contract as an AsyncAPI 3 document.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Contract, Direction, Entry, unique};

impl Contract {
    /// Returns the contract as an AsyncAPI 3.0 document.
    ///
    /// A namespace is a channel, an event is a message whose payload is the list of its arguments,
    /// and an ack is the reply.
    ///
    /// ```
    /// use socketio_parser::{Contract, Event};
    ///
    /// const SAID: Event<String> = Event::new("said");
    ///
    /// let document = Contract::new("Chat", "1.0.0").sends(SAID).asyncapi();
    /// assert_eq!(document["asyncapi"], "3.0.0");
    /// ```
    pub fn asyncapi(mut self) -> Value {
        let mut document = Document::default();
        for entry in &self.entries {
            document.add(entry);
        }
        json!({
            "asyncapi": "3.0.0",
            "info": { "title": self.title, "version": self.version },
            "defaultContentType": "application/json",
            "channels": document.channels,
            "operations": document.operations,
            "components": { "schemas": self.generator.take_definitions(true) },
        })
    }
}

#[derive(Default)]
struct Document {
    /// The id of each namespace's channel.
    ids: BTreeMap<String, String>,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Document {
    fn add(&mut self, entry: &Entry) {
        let action = match entry.direction {
            Direction::Receive => "receive",
            Direction::Send => "send",
            Direction::BetweenServers => return,
        };
        let event = &entry.event;
        let name = identifier(event);
        let channel = self.channel(&entry.namespace);
        let (payload, address) = (&entry.args, &entry.namespace);
        let message = json!({ "name": event, "payload": payload });
        let message = self.message(&channel, address, &name, message);
        let to = json!({ "$ref": format!("#/channels/{channel}") });
        let mut operation = json!({ "action": action, "channel": to, "messages": [message] });
        if let Some(ack) = &entry.ack {
            let reply = json!({ "name": format!("{event}, acknowledged"), "payload": ack });
            let reply = self.message(&channel, address, &format!("{name}.ack"), reply);
            operation["reply"] = json!({ "channel": to, "messages": [reply] });
        }
        let id = format!("{action}.{channel}.{name}");
        let id = unique(id, |id| self.operations.contains_key(id));
        self.operations.insert(id, operation);
    }

    /// Returns the id of a namespace's channel, which no other namespace has.
    fn channel(&mut self, namespace: &str) -> String {
        if let Some(id) = self.ids.get(namespace) {
            return id.clone();
        }
        let id = match namespace.trim_matches('/') {
            "" => "main".to_owned(),
            name => identifier(name),
        };
        let id = unique(id, |id| self.ids.values().any(|other| other == id));
        self.ids.insert(namespace.to_owned(), id.clone());
        id
    }

    /// Adds a message to a channel. Returns a reference to it.
    fn message(&mut self, channel: &str, address: &str, name: &str, message: Value) -> Value {
        let entry = self.channels.entry(channel);
        let added = entry.or_insert_with(|| json!({ "address": address, "messages": {} }));
        let messages = &mut added["messages"];
        let differs = |name: &str| messages.get(name).is_some_and(|other| *other != message);
        let name = unique(name.to_owned(), differs);
        messages[&name] = message;
        json!({ "$ref": format!("#/channels/{channel}/messages/{name}") })
    }
}

/// Converts a name to one that needs no escaping in a reference.
fn identifier(name: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    name.chars().map(|char| if plain(char) { char } else { '_' }).collect()
}
