//! Prints the contract of an application's events as an AsyncAPI document, for developers of its
//! clients.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socketio_server::{AsyncApi, Binary, Event};

/// What a user says in a room.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Message {
    /// Who says it; nobody, where the server does.
    author: Option<String>,
    text: String,
    /// Reactions, and how many users gave each.
    reactions: BTreeMap<String, u32>,
    /// The message that this one answers.
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

fn main() {
    let document = AsyncApi::new("Chat", "1.0.0")
        .receives(SAY)
        .receives(TYPING)
        .sends(SAID)
        .sends(ALIVE)
        .namespace("/files/2")
        .receives(UPLOAD)
        .sends(TYPING)
        .document();
    println!("{document:#}");
}
