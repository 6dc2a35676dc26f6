//! A contract of typed events becomes an AsyncAPI 3.0 document, whose references resolve and whose
//! parts are those of the specification, and a TypeScript file.
#![cfg(feature = "contract")]

use schemars::JsonSchema;
use serde_json::{Value, json};
use socketio_parser::{Binary, Contract, Event};

#[derive(JsonSchema)]
#[allow(dead_code, reason = "a schema is all that is wanted")]
struct Receipt {
    body: Option<Binary>,
    length: usize,
    next: Option<Box<Receipt>>,
}

const SAY: Event<(String, u32), Receipt> = Event::new("say");
const NOTE: Event<Vec<String>> = Event::new("note it/now");
const PING: Event<(), ()> = Event::new("ping");
const POINT: Event<[f64; 2], bool> = Event::new("point");

fn document() -> Value {
    contract().asyncapi()
}

fn contract() -> Contract {
    let main = Contract::new("Chat", "1.2.3").receives(SAY).sends(PING);
    main.namespace("/chat/~x").sends(NOTE).receives(POINT)
}

/// Resolves a reference.
fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
}

fn check_references(document: &Value, part: &Value) {
    match part {
        Value::Object(object) => {
            if object.contains_key("$ref") {
                resolve(document, part);
            }
            object.values().for_each(|part| check_references(document, part));
        }
        Value::Array(items) => items.iter().for_each(|part| check_references(document, part)),
        _ => {}
    }
}

#[test]
fn the_asyncapi_document_has_the_shape_of_the_specification() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["info"], json!({ "title": "Chat", "version": "1.2.3" }));
    let known = ["asyncapi", "info", "defaultContentType", "channels", "operations", "components"];
    assert!(document.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
    check_references(&document, &document);
    for channel in document["channels"].as_object().unwrap().values() {
        assert!(channel["address"].is_string());
        for message in channel["messages"].as_object().unwrap().values() {
            assert!(message["name"].is_string() && message["payload"].is_object());
        }
    }
    for operation in document["operations"].as_object().unwrap().values() {
        assert!(matches!(operation["action"].as_str(), Some("send" | "receive")));
        let channel = operation["channel"]["$ref"].as_str().unwrap();
        let mut messages = operation["messages"].as_array().unwrap().clone();
        messages.extend(operation["reply"]["messages"].as_array().into_iter().flatten().cloned());
        for message in messages {
            // The specification: messages of an operation are those of its own channel.
            assert!(message["$ref"].as_str().unwrap().starts_with(&format!("{channel}/messages/")));
        }
    }
}

#[test]
fn asyncapi_payloads_are_argument_lists() {
    let document = document();
    let operation = |id: &str| &document["operations"][id];
    let payload =
        |operation: &Value| resolve(&document, &operation["messages"][0])["payload"].clone();
    let say = operation("receive.main.say");
    let args = payload(say);
    assert_eq!(args["items"][0]["type"], "string");
    assert_eq!(args["items"][1]["format"], "uint32");
    let answer = payload(&say["reply"]);
    let receipt = resolve(&document, &answer["items"][0]);
    assert_eq!(receipt["required"], json!(["length"]));
    assert_eq!(operation("send.main.ping")["reply"], Value::Null);
    assert_eq!(payload(operation("send.main.ping")), json!({ "type": "array", "maxItems": 0 }));
    // A `Vec` is one argument, an array is the list.
    let note = operation("send.chat__x.note_it_now");
    assert_eq!(payload(note)["items"][0]["items"]["type"], "string");
    assert_eq!(resolve(&document, &note["messages"][0])["name"], "note it/now");
    let point = payload(operation("receive.chat__x.point"));
    assert_eq!((&point["minItems"], &point["items"]["type"]), (&json!(2), &json!("number")));
    assert_eq!(document["channels"]["chat__x"]["address"], "/chat/~x");
}

#[test]
fn the_typescript_file_declares_events_as_functions() {
    let expected = r#"// The events of Chat, version 1.2.3.

export type Binary = ArrayBuffer | Uint8Array;

export type Receipt = {
  body?: Binary | null;
  length: number;
  next?: Receipt | null;
};

export interface ServerToClientEvents {
  ping: () => void;
}

export interface ClientToServerEvents {
  say: (arg1: string, arg2: number, ack: (arg1: Receipt) => void) => void;
}

export interface InterServerEvents {
}

export interface ChatXServerToClientEvents {
  "note it/now": (arg1: Array<string>) => void;
}

export interface ChatXClientToServerEvents {
  point: (arg1: number, arg2: number, ack: (arg1: boolean) => void) => void;
}

export interface ChatXInterServerEvents {
}
"#;
    assert_eq!(contract().typescript(), expected);
}

/// A description
/// of two lines, and `*/` in it.
#[derive(JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum Shape {
    Circle {
        radius: f64,
    },
    #[serde(rename = "poly-gon")]
    Polygon {
        points: Vec<(f64, f64)>,
    },
    Nothing,
}

#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
enum Color {
    Red,
    Green,
}

#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct Drawing {
    shapes: std::collections::BTreeMap<String, Shape>,
    color: Option<Color>,
    /// Any value.
    extra: Value,
    r#type: bool,
    #[serde(rename = "the-id")]
    id: u64,
}

#[test]
fn typescript_types_follow_the_serialized_form() {
    const DRAWN: Event<Drawing> = Event::new("drawn");
    let types = Contract::new("Draw", "1.0.0").sends(DRAWN).typescript();
    for part in [
        "export type Color = \"Red\" | \"Green\";",
        "  color?: Color | null;\n",
        "  /** Any value. */\n  extra: unknown;\n",
        "  shapes: Record<string, Shape>;\n",
        "  \"the-id\": number;\n",
        "  type: boolean;\n",
        "/** A description\n * of two lines, and `* /` in it. */\nexport type Shape = {",
        "  kind: \"circle\";\n",
        "  points: Array<[number, number]>;\n",
        "  kind: \"poly-gon\";\n",
        "drawn: (arg1: Drawing) => void;",
    ] {
        assert!(types.contains(part), "{part} is missing in {types}");
    }
}

#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct SocketData {
    name: String,
}

#[test]
fn names_that_would_collide_stay_apart() {
    const ONE: Event<SocketData> = Event::new("a b");
    const TWO: Event<bool> = Event::new("a_b");
    let contract = || {
        let main = Contract::new("Chat", "1.0.0").sends(ONE).sends(TWO);
        let other = main.namespace("/main").sends(TWO).namespace("/чат").sends(TWO);
        other.namespace("/a-b").sends(ONE).namespace("/a/b").sends(TWO)
    };
    let types = contract().typescript();
    for part in [
        "export type SocketData2 = ",
        "export interface ServerToClientEvents {",
        "export interface MainServerToClientEvents {",
        "export interface NamespaceServerToClientEvents {",
        "export interface ABServerToClientEvents {",
        "export interface AB2ServerToClientEvents {",
    ] {
        assert_eq!(types.matches(part).count(), 1, "{part} in {types}");
    }
    let document = contract().asyncapi();
    check_references(&document, &document);
    let channels = document["channels"].as_object().unwrap();
    let addresses: Vec<_> = channels.values().map(|it| it["address"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), 5, "{addresses:?}");
    assert_eq!(document["channels"]["main"]["messages"].as_object().unwrap().len(), 2);
    assert_eq!(document["operations"].as_object().unwrap().len(), 6);
}
