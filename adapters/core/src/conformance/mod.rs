//! The conformance suite of all back-ends: three servers with clients, one of them slow, and one of
//! them killed at the end. Only the back-end between them differs.
//!
//! The suite talks to the servers only through their clients. The event `op` asks a server to emit,
//! to fetch sockets, to make sockets join, and so on; `interop/rigs/src/ops.rs` implements it. A
//! [`Harness`] starts the servers and connects the clients. Each function tests one behavior and
//! panics on failure.
//!
//! A back-end whose engine has a log also runs [`all_nodes_see_one_order`],
//! [`sessions_are_taken_once`] and [`missed_events_are_found`], which use its adapters directly
//! ([`LogHarness`]).

mod acks;
mod groups;
mod reach;
mod servers;
mod stores;

use std::future::Future;

use socketio_parser::{Value, Values, value};

pub use self::{
    acks::{acks_are_collected, partial_acks_are_returned_at_the_deadline},
    groups::{sockets_are_disconnected, sockets_are_fetched, sockets_join_and_leave},
    reach::{
        broadcasts_reach_the_selected_clients, messages_of_a_server_keep_their_order,
        namespaces_are_separate,
    },
    servers::{dead_servers_do_not_block_requests, server_side_events_reach_the_other_servers},
    stores::{
        LogHarness, all_nodes_see_one_order, missed_events_are_found, sessions_are_taken_once,
    },
};

/// Three servers in one cluster, numbered 0 to 2. The last one receives messages with a delay.
pub trait Harness {
    /// A client of one of the servers.
    type Client: Client;

    /// Connects a client, which joins `rooms` and shares `data` on connection.
    fn connect(
        &self,
        server: usize,
        nsp: &str,
        rooms: &[&str],
        data: Value,
    ) -> impl Future<Output = Self::Client>;

    /// Waits until a server receives messages to a room. Returns at once, unless the back-end has a
    /// channel per room.
    fn settle(&self, server: usize, nsp: &str, room: &str) -> impl Future<Output = ()>;

    /// Removes a server from the cluster without an announcement. Its clients stay connected to it.
    fn kill(&self, server: usize);
}

/// A client of a server. Its methods must panic if they take too long.
pub trait Client {
    /// Returns the id of its socket.
    fn id(&self) -> &str;

    /// Emits `op` and returns the ack. Events that arrive in the meantime are kept for
    /// [`next`](Self::next).
    fn call(&mut self, op: Value) -> impl Future<Output = Value>;

    /// Returns the next event, or `None` if the server has disconnected the client.
    fn next(&mut self) -> impl Future<Output = Option<Event>>;

    /// Acknowledges an event.
    fn acknowledge(&mut self, id: u64, value: Value) -> impl Future<Output = ()>;
}

/// An event that a client received.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The name.
    pub name: String,
    /// The arguments.
    pub args: Values,
    /// The id to acknowledge with, if an ack is requested.
    pub ack: Option<u64>,
}

/// Connects a client to each server. Each joins the room `all` and one named after its server (`s0`
/// …). Those of servers 0 and 1 also join `low`.
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

/// Returns the items of a list.
#[track_caller]
fn items(answer: Option<&Value>) -> &[Value] {
    assert!(matches!(answer, Some(Value::Array(_))), "{answer:?}");
    match answer {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

/// Returns the name and the first argument of the next event.
async fn next_event(client: &mut impl Client) -> (String, Value) {
    match client.next().await {
        Some(Event { name, args, .. }) => (name, args.0.into_iter().next().unwrap_or_default()),
        None => (String::from("disconnected"), Value::Null),
    }
}

/// Emits a fence event from server `from`. Returns the events that each client received before it.
async fn until_fence<C: Client>(clients: &mut [C; 3], from: usize) -> [Vec<String>; 3] {
    if let Some(client) = clients.get_mut(from) {
        // The fence is sent to every room, so that it takes the same channels as other events.
        let op = value!({ "op": "emit", "event": "fence", "to": ["all", "s0", "s1", "s2", "low"] });
        ok(&client.call(op).await);
    }
    let mut all = [const { Vec::new() }; 3];
    for (client, seen) in clients.iter_mut().zip(&mut all) {
        loop {
            let (name, _) = next_event(client).await;
            if name == "fence" {
                break;
            }
            seen.push(name);
        }
    }
    all
}
