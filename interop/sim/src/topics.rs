//! Namespaces that exist while clients use them. Clients name them, a middleware may refuse the
//! client, and the last client that leaves removes them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use socketio_client::{Manager, Socket as ClientSocket};
use socketio_server::{Auth, Namespace, ParentNamespace, Server, Socket};

use crate::{
    NAMESPACES, RETRIED,
    client::{self, Login},
    ledger::Ledger,
    node::{self, ConnectionNumber, Node, Sockets},
    random::Random,
};

/// The names that clients choose from.
pub(crate) const TOPICS: [&str; 3] = ["/topic/0", "/topic/1", "/topic/2"];

/// The number of the first topic in the ledger.
pub(crate) const FIRST: usize = NAMESPACES.len() + RETRIED.len();

/// The topics of one client.
pub(crate) struct Topics(Vec<Topic>);

struct Topic {
    socket: ClientSocket,
    is_wanted: AtomicBool,
}

impl Topics {
    pub(crate) fn new(client: usize, manager: &Manager, ledger: &Ledger) -> Self {
        let topic = |(at, name): (usize, &&str)| {
            let socket = manager.socket(name);
            client::listen(&socket, (client, FIRST + at), ledger);
            Topic { socket, is_wanted: AtomicBool::new(false) }
        };
        Self(TOPICS.iter().enumerate().map(topic).collect())
    }

    /// Lets the client enter a topic, or leave it.
    pub(crate) fn toggle(&self, at: usize) {
        let Topic { socket, is_wanted } = &self.0[at];
        if is_wanted.fetch_xor(true, Relaxed) {
            socket.disconnect()
        } else {
            socket.open()
        };
    }

    pub(crate) fn wants(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|topic| topic.is_wanted.load(Relaxed))
    }

    /// The sockets of the topics that the client wants to be in.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &ClientSocket> {
        self.0.iter().filter(|topic| topic.is_wanted.load(Relaxed)).map(|topic| &topic.socket)
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = &ClientSocket> {
        self.0.iter().map(|topic| &topic.socket)
    }
}

/// Declares the topics on a server, with their handlers.
pub(crate) fn declare(
    io: &Server,
    origin: crate::ledger::Origin,
    ledger: &Ledger,
    sockets: &Sockets,
    random: Random,
) -> Option<ParentNamespace> {
    let parent = io.of_pattern("/topic/{number}").ok()?;
    let (on_connection, sockets) = (ledger.clone(), sockets.clone());
    parent.on_connection(move |socket: Socket, Auth(Login { client }): Auth<Login>| {
        let recovered = socket.recovered();
        let from = (client, number(&socket));
        let connection = on_connection.server_connected(origin, from, recovered);
        socket.set_data(ConnectionNumber(connection));
        node::lock(&sockets).push((socket.downgrade(), connection, client, from.1));
        let joined = if recovered { Ok(()) } else { socket.join(node::rooms(client)) };
        async move { Ok(joined?) }
    });
    let random = Arc::new(Mutex::new(random));
    parent.on("up", node::up(number, ledger, &random));
    parent.on("echo", node::echo(number, ledger, &random));
    Some(parent)
}

/// Returns the number of a socket's topic in the ledger.
fn number(socket: &Socket) -> usize {
    FIRST + socket.param("number").and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Node {
    /// Returns a topic, if it exists on this node.
    pub(crate) fn topic(&self, at: usize) -> Option<Namespace> {
        let children = self.topics.as_ref()?.children();
        children.into_iter().find(|child| child.name() == TOPICS[at])
    }
}
