//! The suite that every back-end runs: three servers with clients of their own, one of them slow, one of them killed in
//! the end. What carries the messages between them is all that differs.
//!
//! The suite speaks to the servers through their clients alone: the event `op` asks a server to emit, to fetch, to make
//! sockets join, and so on; `interop/rigs/src/ops.rs` answers it. A [`Harness`] starts the servers and
//! connects the clients. Each function is one behaviour, and panics where it is not kept.
//!
//! A back-end whose engine keeps a log also runs [`a_log_is_one_order`], [`sessions_are_taken_once`] and
//! [`what_was_missed_is_found`], which speak to its adapters ([`Logging`]).

mod asks;
mod groups;
mod reach;
mod servers;
mod stores;

use std::future::Future;

use socketio_parser::{Value, Values, value};

pub use self::{
    asks::{answers_are_collected, partial_answers_come_at_the_deadline},
    groups::{sockets_are_disconnected, sockets_are_fetched, sockets_join_and_leave},
    reach::{broadcasts_reach_whom_they_name, namespaces_are_separate, order_is_kept},
    servers::{servers_talk_to_servers, the_dead_are_not_waited_for},
    stores::{Logging, a_log_is_one_order, sessions_are_taken_once, what_was_missed_is_found},
};

/// Three servers in one cluster, numbered 0 to 2; the last one is slow to hear and to be heard.
pub trait Harness {
    /// A client of one of the servers.
    type Client: Client;

    /// Connects a client, which joins `rooms` and shares `data` before it is let in.
    fn connect(
        &self,
        server: usize,
        nsp: &str,
        rooms: &[&str],
        data: Value,
    ) -> impl Future<Output = Self::Client>;

    /// Waits until a server gets what is sent to a room. At once, unless the back-end has a channel per room.
    fn settle(&self, server: usize, nsp: &str, room: &str) -> impl Future<Output = ()>;

    /// Takes a server away without a word. Its clients stay connected to it.
    fn kill(&self, server: usize);
}

/// A client, and through it its server. Whatever takes too long is to panic.
pub trait Client {
    /// The id of its socket.
    fn id(&self) -> &str;

    /// Sends `op` and gives the answer. Events that come meanwhile are kept for [`next`](Self::next).
    fn call(&mut self, op: Value) -> impl Future<Output = Value>;

    /// The next event; `None` once the server has disconnected the client.
    fn next(&mut self) -> impl Future<Output = Option<Event>>;

    /// Answers an event that asks for it.
    fn answer(&mut self, ack: u64, answer: Value) -> impl Future<Output = ()>;
}

/// An event that a client got.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The name.
    pub name: String,
    /// The arguments.
    pub args: Values,
    /// Present where an answer is wanted.
    pub ack: Option<u64>,
}

/// A client on each server, in the room `all`, in one of its server's name (`s0` …), and in one shared by servers 0 and 1
/// (`low`).
async fn three<H: Harness>(harness: &H) -> [H::Client; 3] {
    let zero = harness.connect(0, "/", &["all", "s0", "low"], value!({ "n": 0 })).await;
    let one = harness.connect(1, "/", &["all", "s1", "low"], value!({ "n": 1 })).await;
    let two = harness.connect(2, "/", &["all", "s2"], value!({ "n": 2 })).await;
    for (server, rooms) in [(0, ["all", "s0"]), (1, ["all", "s1"]), (2, ["all", "s2"])] {
        for room in rooms {
            harness.settle(server, "/", room).await;
        }
    }
    for (server, client) in [&zero, &one, &two].into_iter().enumerate() {
        harness.settle(server, "/", client.id()).await;
    }
    harness.settle(0, "/", "low").await;
    harness.settle(1, "/", "low").await;
    [zero, one, two]
}

#[track_caller]
fn ok(answer: &Value) {
    assert_eq!(answer.as_str(), Some("ok"), "{answer:?}");
}

/// The items of an answer that is a list.
#[track_caller]
fn items(answer: Option<&Value>) -> &[Value] {
    assert!(matches!(answer, Some(Value::Array(_))), "{answer:?}");
    match answer {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

/// The name and first argument of the next event.
async fn heard(client: &mut impl Client) -> (String, Value) {
    match client.next().await {
        Some(Event { name, args, .. }) => (name, args.0.into_iter().next().unwrap_or_default()),
        None => (String::from("disconnected"), Value::Null),
    }
}

/// Everything that reaches a client until the fence that `from` sends now: what it sent before came before.
async fn until_fence<C: Client>(clients: &mut [C; 3], from: usize) -> [Vec<String>; 3] {
    if let Some(client) = clients.get_mut(from) {
        // To every room, so that it takes the same way.
        let op = value!({ "op": "emit", "event": "fence", "to": ["all", "s0", "s1", "s2", "low"] });
        ok(&client.call(op).await);
    }
    let mut all = [const { Vec::new() }; 3];
    for (client, seen) in clients.iter_mut().zip(&mut all) {
        loop {
            let (name, _) = heard(client).await;
            if name == "fence" {
                break;
            }
            seen.push(name);
        }
    }
    all
}
