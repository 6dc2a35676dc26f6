//! A contract as TypeScript types.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde_json::{Map, Value};

use super::{Contract, Direction, Entry, unique};

/// The interfaces of a namespace, as `Server` and `Socket` of the npm packages take them.
const INTERFACES: [(Direction, &str); 3] = [
    (Direction::Send, "ServerToClientEvents"),
    (Direction::Receive, "ClientToServerEvents"),
    (Direction::BetweenServers, "InterServerEvents"),
];

/// A [`Binary`](crate::Binary) in TypeScript: both types can be sent. Browsers receive an
/// `ArrayBuffer`, Node a `Buffer`, which is a `Uint8Array`.
const BINARY: &str = "export type Binary = ArrayBuffer | Uint8Array;\n";

impl Contract {
    /// Returns the contract as a TypeScript file.
    ///
    /// It exports the types of the payloads, and the interfaces `ServerToClientEvents`,
    /// `ClientToServerEvents`, `InterServerEvents` and `SocketData` of the main namespace, for
    /// `Socket<ServerToClientEvents, ClientToServerEvents>` of the npm package `socket.io-client`.
    /// Those of another namespace have its name as a prefix: `AdminServerToClientEvents` for
    /// `/admin`. An event with an ack takes a callback as its last argument.
    ///
    /// Integers are `number`, which is exact up to 2⁵³.
    ///
    /// ```
    /// use socketio_parser::{Contract, Event};
    ///
    /// const SAY: Event<(String, u32), bool> = Event::new("say");
    ///
    /// let types = Contract::new("Chat", "1.0.0").receives(SAY).typescript();
    /// let say = "say: (arg1: string, arg2: number, ack: (arg1: boolean) => void) => void;";
    /// assert!(types.contains(say), "{types}");
    /// ```
    pub fn typescript(mut self) -> String {
        let definitions = self.generator.take_definitions(true);
        let mut file = format!("// The events of {}, version {}.\n", self.title, self.version);
        let mut namespaces: BTreeMap<&str, Vec<&Entry>> = BTreeMap::from([("/", Vec::new())]);
        for entry in &self.entries {
            namespaces.entry(&entry.namespace).or_default().push(entry);
        }
        let mut taken = BTreeSet::from(["Binary".to_owned(), "SocketData".to_owned()]);
        let mut prefixes = BTreeSet::new();
        let namespaces: Vec<_> = namespaces
            .into_iter()
            .map(|(namespace, entries)| {
                let own = match type_name(namespace) {
                    name if name.is_empty() && namespace != "/" => "Namespace".to_owned(),
                    name => name,
                };
                let prefix = unique(own, |name| prefixes.contains(name));
                prefixes.insert(prefix.clone());
                taken.extend(INTERFACES.map(|(_, name)| format!("{prefix}{name}")));
                (prefix, entries)
            })
            .collect();
        let mut names = Names::new();
        for name in definitions.keys() {
            let unique = unique(type_name(name), |name| taken.contains(name));
            taken.insert(unique.clone());
            names.insert(name.clone(), unique);
        }
        let mut types = String::new();
        for (name, schema) in &definitions {
            let (comment, name) = (comment(schema, ""), &names[name]);
            let _ = write!(types, "\n{comment}export type {name} = {};\n", of(schema, "", &names));
        }
        for (prefix, entries) in namespaces {
            for (direction, name) in INTERFACES {
                let events = entries.iter().filter(|entry| entry.direction == direction);
                let events: String =
                    events.map(|entry| event(entry, &definitions, &names)).collect();
                let _ = write!(types, "\nexport interface {prefix}{name} {{\n{events}}}\n");
            }
        }
        if let Some(data) = &self.socket_data {
            let _ = write!(types, "\nexport type SocketData = {};\n", of(data, "", &names));
        }
        if types.contains("Binary") {
            let _ = write!(file, "\n{BINARY}");
        }
        file + &types
    }
}

/// The TypeScript name of each definition.
type Names = BTreeMap<String, String>;

/// Returns the member of an interface that describes an event.
fn event(entry: &Entry, definitions: &Map<String, Value>, names: &Names) -> String {
    let mut parameters = parameters(&entry.args, definitions, names);
    if let Some(ack) = &entry.ack {
        parameters.push(format!(
            "ack: ({}) => void",
            self::parameters(ack, definitions, names).join(", ")
        ));
    }
    format!("  {}: ({}) => void;\n", key(&entry.event), parameters.join(", "))
}

/// Returns the parameters of a function that takes a list of arguments.
fn parameters(list: &Value, definitions: &Map<String, Value>, names: &Names) -> Vec<String> {
    let named = list["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    let list = named.and_then(|name| definitions.get(name)).unwrap_or(list);
    let types: Vec<String> = match &list["items"] {
        Value::Array(items) => items.iter().map(|item| of(item, "  ", names)).collect(),
        item => vec![of(item, "  ", names); list["maxItems"].as_u64().unwrap_or(0) as usize],
    };
    types.iter().enumerate().map(|(at, it)| format!("arg{}: {it}", at + 1)).collect()
}

/// Returns the type of a schema.
fn of(schema: &Value, indent: &str, names: &Names) -> String {
    let Some(object) = schema.as_object() else {
        return if schema == &Value::Bool(false) { "never" } else { "unknown" }.to_owned();
    };
    if let Some(name) = object.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        return names.get(name).cloned().unwrap_or_else(|| type_name(name));
    }
    if let Some(value) = object.get("const") {
        return value.to_string();
    }
    if let Some(values) = object.get("enum").and_then(Value::as_array) {
        return union(values.iter().map(Value::to_string));
    }
    let mut parts = Vec::new();
    for (keyword, separator) in [("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")] {
        if let Some(schemas) = object.get(keyword).and_then(Value::as_array) {
            let mut types: Vec<_> =
                schemas.iter().map(|schema| of(schema, indent, names)).collect();
            types.dedup();
            if keyword == "allOf" && types.len() > 1 {
                types.iter_mut().for_each(|it| *it = format!("({it})"));
            }
            parts.push(types.join(separator));
        }
    }
    match object.get("type") {
        Some(Value::String(kind)) => parts.push(of_kind(kind, object, indent, names)),
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            parts.push(union(kinds.map(|kind| of_kind(kind, object, indent, names))));
        }
        _ if object.contains_key("properties") => {
            parts.push(of_kind("object", object, indent, names))
        }
        _ => {}
    }
    match parts.as_slice() {
        [] => "unknown".to_owned(),
        [one] => one.clone(),
        _ => parts.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" & "),
    }
}

/// Returns the type of a schema, as far as it concerns values of one JSON type.
fn of_kind(kind: &str, schema: &Map<String, Value>, indent: &str, names: &Names) -> String {
    match kind {
        "string" if schema.get("format").is_some_and(|format| format == "binary") => {
            "Binary".into()
        }
        "integer" => "number".into(),
        "array" => match schema.get("items") {
            Some(Value::Array(items)) => {
                let items: Vec<_> = items.iter().map(|item| of(item, indent, names)).collect();
                format!("[{}]", items.join(", "))
            }
            Some(item) => format!("Array<{}>", of(item, indent, names)),
            None => "unknown[]".into(),
        },
        "object" => object(schema, indent, names),
        kind => kind.to_owned(),
    }
}

fn object(schema: &Map<String, Value>, indent: &str, names: &Names) -> String {
    let inner = format!("{indent}  ");
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|it| it == name));
    let mut members = String::new();
    for (name, property) in
        schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let optional = if is_required(name) { "" } else { "?" };
        let (comment, kind) = (comment(property, &inner), of(property, &inner, names));
        let _ = writeln!(members, "{comment}{inner}{}{optional}: {kind};", key(name));
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) | None if !members.is_empty() => {}
        Some(Value::Bool(false)) => return "Record<string, never>".to_owned(),
        Some(values) if members.is_empty() => {
            return format!("Record<string, {}>", of(values, indent, names));
        }
        Some(_) => {
            // A member of an interface must fit the index, so only `unknown` takes all of them.
            let _ = writeln!(members, "{inner}[key: string]: unknown;");
        }
        None => return "Record<string, unknown>".to_owned(),
    }
    format!("{{\n{members}{indent}}}")
}

fn union(types: impl Iterator<Item = String>) -> String {
    types.collect::<Vec<_>>().join(" | ")
}

/// Returns the description of a schema as a comment.
fn comment(schema: &Value, indent: &str) -> String {
    match schema["description"].as_str() {
        Some(text) => {
            let lines: Vec<_> = text.lines().map(|line| line.replace("*/", "* /")).collect();
            format!("{indent}/** {} */\n", lines.join(&format!("\n{indent} * ")))
        }
        None => String::new(),
    }
}

/// Returns a name of an event or field as TypeScript writes it.
fn key(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|char| char.is_ascii_alphabetic() || char == '_');
    if first && chars.all(|char| char.is_ascii_alphanumeric() || char == '_') {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

/// Converts a name to an identifier in camel case. The main namespace has an empty one.
fn type_name(name: &str) -> String {
    let words = name.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let mut identifier = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        identifier += &first.to_ascii_uppercase();
        identifier += rest;
    }
    match identifier.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("_{identifier}"),
        _ => identifier,
    }
}
