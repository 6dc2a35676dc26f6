//! Prints a line for each event.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use socketio_client::{Args, Value, Values};

use crate::options::Options;

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const CYAN: u8 = 36;
const GREY: u8 = 90;

pub(crate) struct Output {
    json: bool,
    color: bool,
    save: Option<PathBuf>,
    saved: AtomicUsize,
}

impl Output {
    pub(crate) fn new(options: &Options) -> Self {
        let color = options.color
            && std::env::var_os("NO_COLOR").is_none()
            && std::io::stdout().is_terminal();
        Self { json: options.json, color, save: options.save.clone(), saved: AtomicUsize::new(0) }
    }

    /// Prints an event of the server.
    pub(crate) fn event(&self, nsp: &str, args: &Args) {
        let values = args.values().unwrap_or_default();
        self.values("event", nsp, args.event(), values, GREEN);
    }

    /// Prints an ack of the server.
    pub(crate) fn answer(&self, nsp: &str, event: &str, Values(values): Values) {
        self.values("answer", nsp, event, values, CYAN);
    }

    /// Prints a note about the connection.
    pub(crate) fn note(&self, nsp: &str, what: &str, text: &str) {
        if self.json {
            return self.line(&json!({ "time": now(), "type": what, "nsp": nsp, "text": text }));
        }
        let (time, what) = (self.paint(GREY, &clock()), self.paint(YELLOW, what));
        self.print(&format!("{time} {nsp} {what} {text}"));
    }

    fn values(&self, kind: &str, nsp: &str, event: &str, values: Vec<Value>, color: u8) {
        let values: Vec<_> = values.into_iter().map(|value| self.plain(value)).collect();
        if self.json {
            let line =
                json!({ "time": now(), "type": kind, "nsp": nsp, "event": event, "args": values });
            return self.line(&line);
        }
        let mark = if kind == "answer" { "→ " } else { "" };
        let (time, event) = (self.paint(GREY, &clock()), self.paint(color, event));
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        self.print(&format!("{time} {nsp} {mark}{event} {}", values.join(" ")));
    }

    /// Converts a value to JSON. Binary becomes the name of a file, or its length.
    fn plain(&self, value: Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => value.into(),
            Value::Number(value) => value.into(),
            Value::String(value) => value.into(),
            Value::Array(values) => values.into_iter().map(|value| self.plain(value)).collect(),
            Value::Object(object) => {
                object.into_iter().map(|(key, value)| (key, self.plain(value))).collect()
            }
            Value::Binary(bytes) => match self.store(&bytes) {
                Some(path) => json!({ "file": path, "bytes": bytes.len() }),
                None => json!({ "bytes": bytes.len() }),
            },
        }
    }

    /// Never overwrites a file. The server has no influence on the names.
    fn store(&self, bytes: &[u8]) -> Option<String> {
        let folder = self.save.as_ref()?;
        loop {
            let path = folder.join(format!("{}.bin", self.saved.fetch_add(1, Ordering::Relaxed)));
            match std::fs::File::create_new(&path) {
                Ok(mut file) => {
                    let written = file.write_all(bytes);
                    written.map_err(|error| eprintln!("{}: {error}", path.display())).ok()?;
                    return Some(path.display().to_string());
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    eprintln!("{}: {error}", path.display());
                    return None;
                }
            }
        }
    }

    fn line(&self, line: &serde_json::Value) {
        self.print(&line.to_string());
    }

    /// The reader of a pipe may have exited, as `head` does.
    fn print(&self, line: &str) {
        if writeln!(std::io::stdout(), "{line}").is_err() {
            std::process::exit(0);
        }
    }

    fn paint(&self, color: u8, text: &str) -> String {
        // Text from the server must not control the terminal.
        let text: String = text.chars().flat_map(printable).collect();
        if self.color { format!("\x1b[{color}m{text}\x1b[0m") } else { text }
    }
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = (!character.is_control()).then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

/// Seconds since 1970.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as f64 / 1000.0
}

/// Formats the time of day in UTC.
fn clock() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs() % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", now.subsec_millis())
}
