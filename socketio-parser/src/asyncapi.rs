//! A set of typed events as an AsyncAPI 3 document.

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::SchemaSettings,
    json_schema,
    transform::{ReplacePrefixItems, ReplaceUnevaluatedProperties, Transform},
};
use serde_json::{Map, Value, json};

use crate::{binary::Binary, event::Event};

/// An AsyncAPI 3.0 document under construction, which describes a server's events for other tools.
///
/// A namespace is a channel, an event is a message whose payload is the list of its arguments, and
/// an ack is the reply. The document takes the server's view: clients send the events that it
/// [receives](Self::receives).
///
/// ```
/// use socketio_parser::{AsyncApi, Event};
///
/// const SAY: Event<(String, u32), bool> = Event::new("say");
/// const SAID: Event<String> = Event::new("said");
///
/// let document = AsyncApi::new("Chat", "1.0.0")
///     .namespace("/chat")
///     .receives(SAY)
///     .sends(SAID)
///     .document();
/// assert_eq!(document["asyncapi"], "3.0.0");
/// assert_eq!(document["operations"]["receive.chat.say"]["action"], "receive");
/// ```
#[derive(Debug)]
pub struct AsyncApi {
    info: Value,
    generator: SchemaGenerator,
    namespace: String,
    channel: String,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
}

impl AsyncApi {
    /// Creates a document for an application with this name and this version of its events.
    pub fn new(title: &str, version: &str) -> Self {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.meta_schema = None;
            settings.definitions_path = "/components/schemas".into();
        });
        let api = Self {
            info: json!({ "title": title, "version": version }),
            generator: settings.into_generator(),
            namespace: String::new(),
            channel: String::new(),
            channels: Map::new(),
            operations: Map::new(),
        };
        api.namespace("/")
    }

    /// Sets the namespace of the events that follow. The first one is `/`.
    #[must_use]
    pub fn namespace(mut self, name: &str) -> Self {
        self.namespace = name.to_owned();
        self.channel = match name.trim_matches('/') {
            "" => "main".to_owned(),
            name => id(name),
        };
        self
    }

    /// Adds an event that clients send.
    #[must_use]
    pub fn receives<A: JsonSchema, R: JsonSchema>(self, event: Event<A, R>) -> Self {
        self.operation::<A, R>("receive", event.name())
    }

    /// Adds an event that the server sends.
    #[must_use]
    pub fn sends<A: JsonSchema, R: JsonSchema>(self, event: Event<A, R>) -> Self {
        self.operation::<A, R>("send", event.name())
    }

    /// Returns the document.
    pub fn document(mut self) -> Value {
        let schemas = self.generator.take_definitions(true);
        json!({
            "asyncapi": "3.0.0",
            "info": self.info,
            "defaultContentType": "application/json",
            "channels": self.channels,
            "operations": self.operations,
            "components": { "schemas": schemas },
        })
    }

    fn operation<A: JsonSchema, R: JsonSchema>(mut self, action: &str, event: &str) -> Self {
        let name = id(event);
        let args = self.list::<A>();
        let message = self.message(&name, json!({ "name": event, "payload": args }));
        // `()` is an ack too, but it has no content to describe.
        let ack = self.list::<R>();
        let channel = json!({ "$ref": format!("#/channels/{}", self.channel) });
        let mut operation = json!({ "action": action, "channel": channel, "messages": [message] });
        if ack["maxItems"] != 0 {
            let title = format!("{event}, acknowledged");
            let reply = json!({ "name": title, "payload": ack });
            let reply = self.message(&format!("{name}.ack"), reply);
            operation["reply"] = json!({ "channel": channel, "messages": [reply] });
        }
        self.operations.insert(format!("{action}.{}.{name}", self.channel), operation);
        self
    }

    /// Adds a message to the channel. Returns a reference to it.
    fn message(&mut self, name: &str, message: Value) -> Value {
        let address = &self.namespace;
        let channel = self
            .channels
            .entry(&self.channel)
            .or_insert_with(|| json!({ "address": address, "messages": {} }));
        channel["messages"][name] = message;
        json!({ "$ref": format!("#/channels/{}/messages/{name}", self.channel) })
    }

    /// Returns the schema of an argument list. A tuple is the list, any other type is one argument,
    /// `()` is none.
    fn list<T: JsonSchema>(&mut self) -> Value {
        let mut schema = self.generator.subschema_for::<T>();
        // The generator does the same with whole documents, because AsyncAPI's schemas are those of
        // draft 7.
        ReplacePrefixItems::default().transform(&mut schema);
        ReplaceUnevaluatedProperties::default().transform(&mut schema);
        let schema = schema.to_value();
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
}

/// Converts a name to one that needs no escaping in a reference.
fn id(name: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    name.chars().map(|char| if plain(char) { char } else { '_' }).collect()
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
