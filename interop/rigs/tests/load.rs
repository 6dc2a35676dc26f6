//! The load generators for a few messages each, against the `bench` rig and their own servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

/// One scenario of each kind. `idle` needs 10 000 file descriptors.
const SCENARIOS: [&str; 9] = [
    "echo16",
    "burst16",
    "ack16",
    "binary64k",
    "cast64x8",
    "rooms64x1",
    "rooms64x8",
    "polling",
    "connect",
];

struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start() -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_bench")))
    }

    fn of(mut command: Command) -> Self {
        command.env("PORT", "0").env("RUNTIME", "current").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().to_owned();
        Self { child, port }
    }

    fn measure(&self, program: &str, arguments: &[&str]) -> Value {
        // 1000 connections and their files do not fit into the usual limit of 1024.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 4096; exec \"$@\"", "sh", program]);
        command.args([&self.port, &self.child.id().to_string()]).args(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn each_kind_of_scenario_loses_no_message() {
    let server = Server::start();
    for scenario in SCENARIOS {
        // On a busy machine, nothing may happen in a short time.
        let counted = ["50", "500", "5000"].into_iter().any(|milliseconds| {
            let figure = server.measure(env!("CARGO_BIN_EXE_load"), &[scenario, milliseconds]);
            assert_eq!(figure["lost_or_disordered"], 0, "{figure}");
            figure["units"].as_u64().unwrap() > 0
        });
        assert!(counted, "{scenario}");
    }
}

#[test]
fn a_crowd_of_clients_receives_broadcasts_and_joins_rooms() {
    let figure = Server::start().measure(env!("CARGO_BIN_EXE_million"), &["300", "0"]);
    assert_eq!(figure["clients"], 300, "{figure}");
    assert_eq!(figure["lost"], 0, "{figure}");
    assert_eq!(figure["broadcast"]["missing"], 0, "{figure}");
    assert_eq!(figure["join"]["missing"], 0, "{figure}");
}

#[test]
fn threads_with_descriptor_tables_of_their_own_serve_more_clients_than_a_table_holds() {
    // A table holds 300 descriptors. The server and the clients need 400 each.
    let run = |program: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 300; exec \"$@\"", "sh", program]).env("TABLES", "3");
        command
    };
    let server = Server::of(run(env!("CARGO_BIN_EXE_bench")));
    let mut clients = run(env!("CARGO_BIN_EXE_million"));
    let output = clients.args([&server.port, &server.child.id().to_string(), "400", "0"]).output();
    let figure: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(figure["clients"], 400, "{figure}");
    assert_eq!(figure["broadcast"]["missing"], 0, "{figure}");
    assert_eq!(figure["join"]["missing"], 0, "{figure}");
}

/// `cargo xtask bench scale` counts all cases at larger numbers.
#[test]
fn the_cost_of_a_message_does_not_grow_with_the_numbers_of_namespaces_rooms_and_clients() {
    let valgrind = Command::new("valgrind").arg("--version").output();
    assert!(valgrind.is_ok(), "install valgrind, which counts the instructions: {valgrind:?}");
    let cases = ["broadcast", "member", "own-rooms", "namespaces", "event", "disconnect"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_scale"));
    let output = command.arg("short").args(cases).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_reason_why_clients_fail_is_reported() {
    let server = Server::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_million"));
    // Nothing listens on port 1.
    command.args(["1", &server.child.id().to_string(), "10"]);
    let error = String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned();
    assert!(error.contains("refused"), "{error}");
}

/// A server that stops in the middle of a handshake, and one that sends pings but no echo.
#[test]
fn a_flood_ends_with_an_error_if_the_server_does_not_respond_in_time() {
    let ends: [(&[&[u8]], &str); 3] = [
        (&[], "no \"0{\" in time"),
        (&[b"HTTP/1.1 101 \r\n\r\n\x810{}"], "no \"40{\" in time"),
        (&[b"HTTP/1.1 101 \r\n\r\n\x810{}", b"40{}"], "no \"probe-0\" in time"),
    ];
    for (responses, expected) in ends {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for response in responses {
                let _ = stream.read(&mut [0; 1000]).unwrap();
                stream.write_all(response).unwrap();
            }
            while stream.write_all(b"\x81\x012").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_floods"));
        command.args([&port, &std::process::id().to_string(), "echo", "0", "1"]);
        let output = command.env("TIMEOUT", "1").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{error}");
    }
}

/// `cargo xtask hostile` measures the same behaviors with more clients.
#[test]
fn hostile_clients_are_counted_and_leave_nothing_behind() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 4096; exec \"$0\" short", env!("CARGO_BIN_EXE_hostile")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
