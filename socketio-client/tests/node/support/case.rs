//! The test cases: combinations of server, parser and transport.

use std::time::Duration;

use engineio_parser::Transport;
use serde_json::Value;
use socketio_client::{ClientConfig, Manager, Reconnection, Socket};
use socketio_parser::Parser;

use super::{
    peer::{self, Program},
    within,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) program: Program,
    pub(crate) parser: &'static str,
    pub(crate) via: Via,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Polling,
    WebSocket,
    Upgrade,
}

impl Case {
    pub(crate) fn config(&self) -> ClientConfig {
        let parser = if self.parser == "msgpack" { Parser::MsgPack } else { Parser::Json };
        self.via.config().parser(parser)
    }

    /// The address of a server that other tests use too.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", peer::shared(self.program, self.parser))
    }

    /// Creates a client that is not connected yet, so that handlers can be added.
    pub(crate) fn client(&self, nsp: &str) -> Socket {
        client(&self.url(), nsp, self.config())
    }

    /// Connects, and waits for the upgrade if the case has one.
    pub(crate) async fn connect(&self, socket: &Socket) {
        within(socket.connect()).await.unwrap();
        self.via.reached(socket).await;
    }

    pub(crate) async fn connected(&self) -> Socket {
        let socket = self.client("/");
        self.connect(&socket).await;
        socket
    }
}

impl Via {
    pub(crate) const ALL: [Self; 3] = [Self::Polling, Self::WebSocket, Self::Upgrade];

    /// A client with short timeouts.
    pub(crate) fn config(self) -> ClientConfig {
        let transports = match self {
            Self::Polling => vec![Transport::Polling],
            Self::WebSocket => vec![Transport::WebSocket],
            Self::Upgrade => vec![Transport::Polling, Transport::WebSocket],
        };
        let quick = Reconnection::default()
            .delay(Duration::from_millis(20))
            .delay_max(Duration::from_millis(100));
        ClientConfig::default()
            .auto_connect(false)
            .reconnection(quick)
            .engine(|engine| engine.transports(transports))
    }

    /// Waits until the server reports this transport.
    pub(crate) async fn reached(self, socket: &Socket) {
        let wanted = if self == Self::Polling { "polling" } else { "websocket" };
        within(async {
            loop {
                let info = info(socket).await;
                let transport = info.get("transport").and_then(Value::as_str).unwrap();
                if transport == wanted {
                    return;
                }
                // Only if the case waits for the upgrade.
                assert_eq!(self, Self::Upgrade);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// Creates a client that is not connected yet, with its own connection.
pub(crate) fn client(url: &str, nsp: &str, config: ClientConfig) -> Socket {
    Manager::with_config(url, config).unwrap().socket(nsp)
}

/// Returns the server's information about the socket.
pub(crate) async fn info(socket: &Socket) -> Value {
    within(socket.emit_with_ack("info", &())).await.unwrap()
}

/// Passes the cases to another macro, after its own arguments. Every pair of a server and a parser, a
/// server and a transport, and a parser and a transport has a case. Node's second generation is left
/// out, because it speaks another protocol.
macro_rules! cases {
    ($macro:ident! { $($argument:tt)* }) => {
        $macro! { $($argument)*
            node4_polling: Program::Node(4), "json", Via::Polling;
            node4_msgpack_websocket: Program::Node(4), "msgpack", Via::WebSocket;
            node4_msgpack_upgrade: Program::Node(4), "msgpack", Via::Upgrade;
            node3_polling: Program::Node(3), "json", Via::Polling;
            node3_msgpack_websocket: Program::Node(3), "msgpack", Via::WebSocket;
            node3_upgrade: Program::Node(3), "json", Via::Upgrade;
            rust_msgpack_polling: Program::Rust, "msgpack", Via::Polling;
            rust_websocket: Program::Rust, "json", Via::WebSocket;
            rust_upgrade: Program::Rust, "json", Via::Upgrade;
        }
    };
}
pub(crate) use cases;

/// Makes a test of each function with each case.
macro_rules! everywhere {
    ($($test:ident),* $(,)?) => { $(
        mod $test {
            use $crate::support::{case::{Case, Via, cases, everywhere}, peer::Program};

            cases! { everywhere! { @ $test } }
        }
    )* };
    (@ $test:ident $($case:ident: $program:expr, $parser:literal, $via:expr;)*) => { $(
        // The caller and the connection's task run in parallel, as in most programs.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            super::$test(Case { program: $program, parser: $parser, via: $via }).await;
        }
    )* };
}
pub(crate) use everywhere;

#[test]
fn every_pair_of_server_parser_and_transport_has_a_case() {
    macro_rules! list {
        ($($case:ident: $program:expr, $parser:literal, $via:expr;)*) => {
            [$(($program, $parser, $via)),*]
        };
    }
    let cases = cases! { list! {} };
    for server in [Program::Node(4), Program::Node(3), Program::Rust] {
        for parser in ["json", "msgpack"] {
            assert!(cases.iter().any(|case| (case.0, case.1) == (server, parser)));
        }
        for via in Via::ALL {
            assert!(cases.iter().any(|case| (case.0, case.2) == (server, via)));
        }
    }
    for parser in ["json", "msgpack"] {
        for via in Via::ALL {
            assert!(cases.iter().any(|case| (case.1, case.2) == (parser, via)));
        }
    }
}

/// Makes a test of each function with each server that follows the contract.
macro_rules! on_servers {
    ($($test:ident),* $(,)?) => { $(
        mod $test {
            use $crate::support::peer::Program;

            #[tokio::test]
            async fn node4() {
                super::$test(Program::Node(4)).await;
            }

            #[tokio::test]
            async fn rust() {
                super::$test(Program::Rust).await;
            }
        }
    )* };
}
pub(crate) use on_servers;
