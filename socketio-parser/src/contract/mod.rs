//! The contract of an application: its typed events, written down for clients in other languages.

#![allow(clippy::indexing_slicing, reason = "these are JSON objects that this module has built")]

mod asyncapi;
mod typescript;

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::SchemaSettings,
    json_schema,
    transform::{ReplacePrefixItems, ReplaceUnevaluatedProperties, Transform},
};
use serde_json::{Value, json};

use crate::{binary::Binary, event::Event};

/// A server's typed events. The same [`Event`] constants that give the handlers and emits in Rust
/// their types become an [AsyncAPI document](Self::asyncapi) or [TypeScript](Self::typescript).
///
/// A contract takes the server's view: clients send the events that it [receives](Self::receives).
/// Write a function that returns the contract, and a small program that prints it:
///
/// ```
/// use socketio_parser::{Contract, Event};
///
/// const SAY: Event<(String, u32), bool> = Event::new("say");
/// const SAID: Event<String> = Event::new("said");
///
/// fn contract() -> Contract {
///     Contract::new("Chat", "1.0.0").namespace("/chat").receives(SAY).sends(SAID)
/// }
///
/// assert_eq!(contract().asyncapi()["operations"]["receive.chat.say"]["action"], "receive");
/// assert!(contract().typescript().contains("said: (arg1: string) => void;"));
/// ```
#[derive(Debug)]
pub struct Contract {
    title: String,
    version: String,
    generator: SchemaGenerator,
    namespace: String,
    entries: Vec<Entry>,
    socket_data: Option<Value>,
}

/// One event in one namespace.
#[derive(Debug)]
struct Entry {
    namespace: String,
    direction: Direction,
    event: String,
    /// The schema of the list of arguments.
    args: Value,
    /// The schema of the list of values in the ack. `None` if the ack has no values.
    ack: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// Clients send it.
    Receive,
    /// The server sends it to clients.
    Send,
    /// Servers of a cluster send it to each other.
    BetweenServers,
}

impl Contract {
    /// Creates a contract of an application with this name, and this version of its events.
    pub fn new(title: &str, version: &str) -> Self {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.meta_schema = None;
            settings.definitions_path = "/components/schemas".into();
        });
        Self {
            title: title.to_owned(),
            version: version.to_owned(),
            generator: settings.into_generator(),
            namespace: "/".to_owned(),
            entries: Vec::new(),
            socket_data: None,
        }
    }

    /// Sets the namespace of the events that follow. The first one is `/`.
    #[must_use]
    pub fn namespace(mut self, name: &str) -> Self {
        self.namespace = name.to_owned();
        self
    }

    /// Adds an event that clients send.
    #[must_use]
    pub fn receives<A: JsonSchema, R: JsonSchema>(self, event: Event<A, R>) -> Self {
        self.add::<A, R>(Direction::Receive, event.name())
    }

    /// Adds an event that the server sends.
    #[must_use]
    pub fn sends<A: JsonSchema, R: JsonSchema>(self, event: Event<A, R>) -> Self {
        self.add::<A, R>(Direction::Send, event.name())
    }

    /// Adds an event that the servers of a cluster send to each other. Only
    /// [TypeScript](Self::typescript) contains it, for Node servers in the same cluster.
    #[must_use]
    pub fn between_servers<A: JsonSchema, R: JsonSchema>(self, event: Event<A, R>) -> Self {
        self.add::<A, R>(Direction::BetweenServers, event.name())
    }

    /// Sets the type of the data that a socket shares with other servers. Only
    /// [TypeScript](Self::typescript) contains it.
    #[must_use]
    pub fn socket_data<T: JsonSchema>(mut self) -> Self {
        self.socket_data = Some(self.schema::<T>());
        self
    }

    fn add<A: JsonSchema, R: JsonSchema>(mut self, direction: Direction, event: &str) -> Self {
        let (args, ack) = (self.list::<A>(), self.list::<R>());
        self.entries.push(Entry {
            namespace: self.namespace.clone(),
            direction,
            event: event.to_owned(),
            args,
            // `()` is an ack too, but it has no content to describe.
            ack: Some(ack).filter(|ack| ack["maxItems"] != 0),
        });
        self
    }

    /// Returns the schema of an argument list. A tuple is the list, any other type is one argument,
    /// `()` is none.
    fn list<T: JsonSchema>(&mut self) -> Value {
        let schema = self.schema::<T>();
        let named = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        let whole = named.and_then(|name| self.generator.definitions().get(name));
        let whole = whole.unwrap_or(&schema);
        let is_array = !whole["minItems"].is_null() && whole["minItems"] == whole["maxItems"];
        match () {
            () if whole["type"] == "null" => json!({ "type": "array", "maxItems": 0 }),
            () if whole["prefixItems"].is_array() || is_array => schema,
            () => json!({ "type": "array", "items": [schema], "minItems": 1, "maxItems": 1 }),
        }
    }

    fn schema<T: JsonSchema>(&mut self) -> Value {
        let mut schema = self.generator.subschema_for::<T>();
        // The generator does the same with whole documents, because AsyncAPI's schemas are those of
        // draft 7.
        ReplacePrefixItems::default().transform(&mut schema);
        ReplaceUnevaluatedProperties::default().transform(&mut schema);
        schema.to_value()
    }
}

/// Returns a name that is not taken, with a number if needed.
fn unique(name: String, is_taken: impl Fn(&str) -> bool) -> String {
    let mut candidate = name.clone();
    for number in 2.. {
        if !is_taken(&candidate) {
            break;
        }
        candidate = format!("{name}{number}");
    }
    candidate
}

/// Binary is described as a string of bytes, as in OpenAPI.
impl JsonSchema for Binary {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Binary".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "binary" })
    }
}
