//! Counts the instructions that the `bench` server executes per message, and compares them with a
//! table.
//!
//! `counts [CASE…]` runs the server beside it under `valgrind --tool=callgrind`, on one thread, once
//! with a number of messages and once with twice as many: the difference is the cost of the
//! messages. The counts do not depend on how busy the machine is. They depend on the compiler, so
//! the table holds for `cargo build --release -p rigs --no-default-features --bin bench --bin counts`
//! with the toolchain named below. The program fails if a count differs by more than 3 %.

use std::{
    env, fs,
    io::{BufRead, BufReader, Error, Read, Result, Write},
    net::TcpStream,
    process::{Child, Command, ExitCode, Stdio},
};

use engineio_parser::websocket::{TEXT, encode};

/// Instructions in user space per message, per delivery of a broadcast, or per connection. With
/// rustc 1.95 on x86-64.
const TABLE: [(&str, Work, u64); 10] = [
    ("echo1", Work::Echo { event: "echo", in_flight: 1, variant: "" }, 11_515),
    ("echo16", Work::Echo { event: "echo", in_flight: 16, variant: "" }, 6_851),
    ("typed16", Work::Echo { event: "echo", in_flight: 16, variant: "TYPED" }, 5_428),
    ("raw16", Work::Echo { event: "echo", in_flight: 16, variant: "RAW" }, 4_549),
    ("ack16", Work::Echo { event: "ack", in_flight: 16, variant: "" }, 6_880),
    ("typedack16", Work::Echo { event: "ack", in_flight: 16, variant: "TYPED" }, 5_424),
    ("cast64", Work::Cast { bytes: 64 }, 3_040),
    ("cast1k", Work::Cast { bytes: 1024 }, 3_076),
    ("polling", Work::Polling, 47_479),
    ("connect", Work::Connect, 73_043),
];

/// By how much a count may differ from the table, in percent.
const TOLERANCE: f64 = 3.0;

/// The number of recipients of a broadcast, besides the sender.
const RECIPIENTS: u64 = 100;

#[derive(Clone, Copy)]
enum Work {
    /// Events that are returned. `variant` is the variable of the server that changes the type of the
    /// arguments, or empty.
    Echo {
        event: &'static str,
        in_flight: u64,
        variant: &'static str,
    },
    Cast {
        bytes: usize,
    },
    Polling,
    Connect,
}

fn main() -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let mut differs = false;
    for (name, work, expected) in TABLE {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == name) {
            continue;
        }
        let counted = match per_unit(work) {
            Ok(counted) => counted,
            Err(error) => {
                eprintln!("counts: {name}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let percent = (counted / expected as f64 - 1.0) * 100.0;
        let differs_here = percent.is_nan() || percent.abs() > TOLERANCE;
        differs |= differs_here;
        let mark = if differs_here { "  DIFFERS" } else { "" };
        println!("{name:<10} {counted:>8.0}  table {expected:>6}  {percent:>+6.1} %{mark}");
    }
    if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Returns the instructions per message, delivery or connection.
fn per_unit(work: Work) -> Result<f64> {
    let (once, units) = run(work, 1)?;
    let (twice, _) = run(work, 2)?;
    Ok((twice as f64 - once as f64) / units as f64)
}

/// Runs a server and clients. Returns the server's instructions and the number of units of work.
fn run(work: Work, times: u64) -> Result<(u64, u64)> {
    let server = env::current_exe()?.with_file_name("bench");
    let out = env::temp_dir().join(format!("counts-{}.out", std::process::id()));
    let variant = if let Work::Echo { variant, .. } = work { variant } else { "" };
    let mut command = Command::new("valgrind");
    if !variant.is_empty() {
        command.env(variant, "1");
    }
    let mut child = command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(server)
        .envs([("PORT", "0"), ("RUNTIME", "current")])
        .stdout(Stdio::piped())
        .spawn()?;
    let worked = port_of(&mut child).and_then(|port| perform(work, port, times));
    Command::new("kill").arg(child.id().to_string()).status()?;
    child.wait()?;
    let units = worked?;
    let text = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    Ok((total.ok_or_else(|| Error::other("callgrind wrote no total"))?, units))
}

/// Waits until the server listens, and returns its port.
fn port_of(child: &mut Child) -> Result<u16> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
    port.ok_or_else(|| Error::other("the server does not listen"))
}

/// Does the work `times` times. Returns the number of units in it when it is done once.
fn perform(work: Work, port: u16, times: u64) -> Result<u64> {
    let text = |bytes| "x".repeat(bytes);
    match work {
        Work::Echo { event, in_flight, .. } => {
            let id = if event == "ack" { "1" } else { "" };
            let argument = format!(r#"{{"id":10000000,"text":"{}"}}"#, text(52));
            let message = frame(&format!(r#"42{id}["{event}",{argument}]"#), in_flight);
            let mut clients =
                (0..4).map(|_| Client::websocket(port)).collect::<Result<Vec<_>>>()?;
            let rounds = 1600 / in_flight;
            for _ in 0..rounds * times {
                for client in &mut clients {
                    client.stream.write_all(&message)?;
                    client.frames(in_flight)?;
                }
            }
            Ok(rounds * in_flight * clients.len() as u64)
        }
        Work::Cast { bytes } => {
            let message = frame(&format!(r#"42["cast","{}"]"#, text(bytes)), 1);
            let mut clients =
                (0..=RECIPIENTS).map(|_| Client::websocket(port)).collect::<Result<Vec<_>>>()?;
            for _ in 0..32 * times {
                clients.iter_mut().take(1).try_for_each(|it| it.stream.write_all(&message))?;
                clients.iter_mut().try_for_each(|client| client.frames(1))?;
            }
            Ok(32 * (RECIPIENTS + 1))
        }
        Work::Polling => {
            let mut client = Client::open(port)?;
            let open = client.request("GET", "", "")?;
            let sid = open.split(r#""sid":""#).nth(1).and_then(|rest| rest.split('"').next());
            let query = format!("&sid={}", sid.unwrap_or_default());
            client.request("POST", &query, "40")?;
            client.request("GET", &query, "")?;
            let message = format!(r#"42["echo",{{"id":10000000,"text":"{}"}}]"#, text(8));
            for _ in 0..200 * times {
                client.request("POST", &query, &message)?;
                client.request("GET", &query, "")?;
            }
            Ok(200)
        }
        Work::Connect => {
            (0..200 * times).try_for_each(|_| Client::websocket(port).map(drop))?;
            Ok(200)
        }
    }
}

fn frame(payload: &str, times: u64) -> Vec<u8> {
    encode(TEXT, Some([0; 4]), payload.as_bytes()).repeat(times as usize)
}

/// A client that blocks.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Opens a WebSocket and enters the main namespace.
    fn websocket(port: u16) -> Result<Self> {
        let mut client = Self::open(port)?;
        client.stream.write_all(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
              Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )?;
        client.head()?;
        client.frames(1)?;
        client.stream.write_all(&frame("40", 1))?;
        client.frames(1)?;
        Ok(client)
    }

    fn request(&mut self, method: &str, query: &str, body: &str) -> Result<String> {
        let request = format!(
            "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes())?;
        let head = self.head()?.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|it| it.lines().next());
        let length = length.and_then(|length| length.parse().ok()).unwrap_or_default();
        while self.received.len() < length {
            self.receive()?;
        }
        let rest = self.received.split_off(length);
        let body = std::mem::replace(&mut self.received, rest);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Returns the head of an HTTP response.
    fn head(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.received.split_off(at + 4);
                let head = std::mem::replace(&mut self.received, rest);
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            self.receive()?;
        }
    }

    /// Waits for `count` frames and drops them. No ping arrives during a measurement, which takes
    /// less time than the ping interval.
    fn frames(&mut self, count: u64) -> Result<()> {
        let mut seen = 0;
        while seen < count {
            match engineio_parser::websocket::Header::parse(&self.received) {
                Ok(Some((header, head)))
                    if self.received.len() >= head + header.payload_len as usize =>
                {
                    self.received.drain(..head + header.payload_len as usize);
                    seen += 1;
                }
                _ => self.receive()?,
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(Error::other("the server has closed the connection")),
            read => {
                self.received.extend(buffer.iter().take(read));
                Ok(())
            }
        }
    }
}
