//! Prints the contract of an application's events for developers of its clients, as an AsyncAPI
//! document or as TypeScript:
//! `cargo run --example contract --features contract -- typescript > events.ts`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socketio_server::{Binary, Contract, Event};

/// What a user says in a room.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Message {
    /// The user's name, or nothing if the server says it.
    author: Option<String>,
    text: String,
    /// The number of users who gave each reaction.
    reactions: BTreeMap<String, u32>,
    /// The message to which this one replies.
    answers: Option<Box<Message>>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Outcome {
    Accepted { id: u64 },
    Refused { why: String },
}

const SAY: Event<(String, Message), Outcome> = Event::new("say");
const SAID: Event<Message> = Event::new("said");
const TYPING: Event<()> = Event::new("user is typing…");
const UPLOAD: Event<(String, Binary), u32> = Event::new("upload");
const ALIVE: Event<(), bool> = Event::new("alive?");

const RELOAD: Event<String, bool> = Event::new("reload");

/// The data of a socket that other servers see.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct User {
    nick_name: String,
    age: u8,
}

fn contract() -> Contract {
    Contract::new("Chat", "1.0.0")
        .receives(SAY)
        .receives(TYPING)
        .sends(SAID)
        .sends(ALIVE)
        .between_servers(RELOAD)
        .socket_data::<User>()
        .namespace("/files/2")
        .receives(UPLOAD)
        .sends(TYPING)
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("typescript") => print!("{}", contract().typescript()),
        _ => println!("{:#}", contract().asyncapi()),
    }
}
