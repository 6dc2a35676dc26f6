//! A poll whose events are typed in three places by one contract: the handlers here, the script of the
//! page (`pages/typed.js`, which `tsc` checks against the types that this program prints), and a
//! client in Rust that shares the constants.
//!
//! ```sh
//! cargo run -p socketio-server --features contract --example typed     # open http://127.0.0.1:3000
//! cargo run -p socketio-server --features contract --example typed -- typescript > events.ts
//! ```

mod shared;

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socketio_server::{Contract, Event, HandlerError, Server, Socket};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Tea,
    Coffee,
    Water,
}

/// The votes so far.
#[derive(Clone, Default, Deserialize, JsonSchema, Serialize)]
struct Tally {
    votes: BTreeMap<Choice, u32>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Outcome {
    Counted { total: u32 },
    AlreadyVoted,
}

const VOTE: Event<Choice, Outcome> = Event::new("vote");
const TALLY: Event<Tally> = Event::new("tally");

/// Marks a socket that has voted.
struct Voted;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let contract = Contract::new("Poll", "1.0.0").receives(VOTE).sends(TALLY);
    if std::env::args().nth(1).as_deref() == Some("typescript") {
        print!("{}", contract.typescript());
        return Ok(());
    }

    let io = Server::with_config(shared::config()?);
    let tally: Arc<Mutex<Tally>> = Arc::default();
    let current = tally.clone();
    io.on_connection(move |socket: Socket| {
        let tally = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        socket.emit_event(TALLY, &tally)?;
        Ok::<_, HandlerError>(())
    });
    io.handle(VOTE, move |socket: Socket, choice| {
        let tally = tally.clone();
        async move {
            if socket.set_data(Voted).is_some() {
                return Ok(Outcome::AlreadyVoted);
            }
            let tally = {
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                *tally.votes.entry(choice).or_default() += 1;
                tally.clone()
            };
            socket.namespace().emit_event(TALLY, &tally)?;
            Ok(Outcome::Counted { total: tally.votes.values().sum() })
        }
    });
    let page = include_str!("pages/typed.html").replace("$SCRIPT", include_str!("pages/typed.js"));
    shared::run(io, &page).await
}
