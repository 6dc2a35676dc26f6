//! The cases that are measured, and the programs that take part in each.

/// One of the programs that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The head of its column.
    pub(super) title: &'static str,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Ours,
    Peer,
    Floor,
}

pub(super) const PROGRAMS: [Program; 9] = {
    const fn of(name: &'static str, title: &'static str, role: Role) -> Program {
        Program { name, title, role }
    }
    [
        of("ours", "this project", Role::Ours),
        of("ours-tuned", "this project, tuned", Role::Ours),
        of("socketioxide", "socketioxide", Role::Peer),
        of("socketioxide-tuned", "socketioxide, tuned", Role::Peer),
        of("rust_socketio", "rust_socketio", Role::Peer),
        of("node", "Node", Role::Peer),
        of("python", "python-socketio", Role::Peer),
        of("floor", "floor", Role::Floor),
        of("floor-json", "floor with JSON", Role::Floor),
    ]
};

/// Measured only if it is named, because it takes long and comes last in each case.
pub(super) const OPTIONAL: &str = "python";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A scenario of the load generator.
    Load(&'static str),
    /// A client with this many messages in flight on each of its connections. With none, the memory
    /// of idle connections.
    Client(&'static str, &'static str),
    /// The CPU time before a client is answered while four others flood the server.
    Flood(&'static str),
    /// The time to `decode` or `encode` one event without a connection.
    Codec(&'static str),
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) kind: Kind,
    /// The names of the programs that can be measured, separated by blanks.
    pub(super) programs: &'static str,
}

const SERVERS: &str = "ours ours-tuned socketioxide socketioxide-tuned node python floor";
const SERVERS_AND_JSON: &str =
    "ours ours-tuned socketioxide socketioxide-tuned node python floor floor-json";
/// The servers that decode the payload into a struct.
const TYPED: &str = "ours ours-tuned socketioxide-tuned floor floor-json";
const CLIENTS: &str = "ours rust_socketio node";
const CODECS: &str = "ours ours-tuned socketioxide socketioxide-tuned node floor-json";
const FLOODED: &str = "ours ours-tuned socketioxide node";

pub(super) const CASES: [Case; 29] = {
    const fn of(
        name: &'static str,
        title: &'static str,
        unit: &'static str,
        kind: Kind,
        programs: &'static str,
    ) -> Case {
        Case { name, title, unit, kind, programs }
    }
    const fn load(name: &'static str, title: &'static str, programs: &'static str) -> Case {
        of(name, title, "µs", Kind::Load(name), programs)
    }
    [
        load("echo1", "echo, 1 in flight, 50 connections", SERVERS_AND_JSON),
        load("echo16", "echo, 16 in flight", SERVERS_AND_JSON),
        load("burst16", "echo, bursts of 16", SERVERS_AND_JSON),
        load("ack1", "ack, 1 in flight", SERVERS_AND_JSON),
        load("ack16", "ack, 16 in flight", SERVERS_AND_JSON),
        of("typed-echo16", "echo of a struct, 16 in flight", "µs", Kind::Load("echo16"), TYPED),
        of("typed-ack16", "ack of a struct, 16 in flight", "µs", Kind::Load("ack16"), TYPED),
        of(
            "raw16",
            "echo of raw arguments, 16 in flight",
            "µs",
            Kind::Load("echo16"),
            "ours ours-tuned floor",
        ),
        load("binary64k", "binary echo, 64 KiB", SERVERS),
        load("cast64x1", "broadcast of 64 B to 1000, one at a time", SERVERS),
        load("cast64x8", "broadcast of 64 B to 1000, 8 in flight", SERVERS),
        load("cast1kx1", "broadcast of 1 KiB to 1000, one at a time", SERVERS),
        load("cast1kx8", "broadcast of 1 KiB to 1000, 8 in flight", SERVERS),
        load("rooms64x1", "100 rooms of 10, one broadcast at a time", SERVERS),
        load("rooms64x8", "100 rooms of 10, 8 broadcasts in flight per room", SERVERS),
        of(
            "rooms64x8-queue",
            "the same, with `global_queue_interval(1)`",
            "µs",
            Kind::Load("rooms64x8"),
            "ours floor",
        ),
        load("polling", "long-polling echo (one POST, one GET)", SERVERS_AND_JSON),
        load("connect", "connect (WebSocket and both handshakes)", SERVERS),
        of("idle", "idle connection, 10 000 of them", "bytes", Kind::Load("idle"), SERVERS),
        of(
            "client1",
            "client: echo, 1 in flight, 10 connections",
            "µs",
            Kind::Client("1", "websocket"),
            CLIENTS,
        ),
        of(
            "client16",
            "client: echo, 16 in flight",
            "µs",
            Kind::Client("16", "websocket"),
            CLIENTS,
        ),
        of(
            "client-idle",
            "client: idle connection, WebSocket",
            "bytes",
            Kind::Client("0", "websocket"),
            CLIENTS,
        ),
        of(
            "client-idle-polling",
            "client: idle connection, polling",
            "bytes",
            Kind::Client("0", "polling"),
            // rust_socketio takes minutes to open some hundred polling connections.
            "ours node",
        ),
        of("decode", "decode a small event", "ns", Kind::Codec("decode"), CODECS),
        of("encode", "encode a small event", "ns", Kind::Codec("encode"), CODECS),
        of("flood-echo", "flood of `42[\"echo\"]`, 4 clients", "ms", Kind::Flood("echo"), FLOODED),
        of(
            "flood-json",
            "flood of 1 MB JSON arrays, 4 clients",
            "ms",
            Kind::Flood("json"),
            FLOODED,
        ),
        of(
            "flood-deflate",
            "flood of deflated megabytes, 4 clients",
            "ms",
            Kind::Flood("deflate"),
            "ours ours-tuned node",
        ),
        of("flood-noop", "flood of noop packets, 4 clients", "ms", Kind::Flood("noop"), FLOODED),
    ]
};

impl Case {
    pub(super) fn measures(&self, program: Program) -> bool {
        self.programs.split(' ').any(|name| name == program.name)
    }

    /// Whether one round suffices: memory hardly varies, and a flood has many probes.
    pub(super) fn needs_one_round(&self) -> bool {
        self.unit == "bytes" || matches!(self.kind, Kind::Flood(_))
    }
}
