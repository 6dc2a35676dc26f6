//! The command line.

use std::{path::PathBuf, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use socketio_client::{Binary, Parser, Transport, Value, Values};

pub(crate) const USAGE: &str = "\
siocat: talks with a Socket.IO server

usage: siocat [OPTIONS] URL [EVENT [ARGUMENT...]]

The path of the URL is the namespace. With an EVENT, siocat sends it and exits. Without one, siocat prints
the events that arrive and sends the lines that it reads. A line is `EVENT ARGUMENT...`, or
`EVENT? ARGUMENT...` to wait for the ack. An ARGUMENT that is not JSON is text. `@FILE` is the content of
a file as binary.

  -a, --ack                 wait for the server's ack of EVENT, and print it
  -l, --listen              keep listening after sending EVENT
  -c, --count N             exit after N events
  -n, --namespace NSP       listen in this namespace as well (may be repeated)
  -r, --reply JSON          send this ack for every event that requests one
  -A, --auth JSON           the payload of CONNECT (`@FILE`: the JSON of a file, read for each connection)
  -H, --header NAME:VALUE   a header of every request (may be repeated)
  -q, --query KEY=VALUE     a parameter of every request (may be repeated)
  -p, --path PATH           the path of the server (default /socket.io)
  -x, --proxy URL           an HTTP proxy, or `env` to use the environment variables
  -t, --transport NAME      polling or websocket (may be repeated; default both)
  -m, --msgpack             packets of socket.io-msgpack-parser
  -w, --timeout SECONDS     the time limit of connecting and of an ack (default 20)
      --no-reconnect        exit when the connection is lost or cannot be opened
  -s, --save DIRECTORY      write binary arguments to files in this directory
  -j, --json                print one line of JSON per event
      --no-color            print without colors
  -h, --help                print this
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) event: Option<(String, Values)>,
    pub(crate) ack: bool,
    pub(crate) listen: bool,
    pub(crate) count: Option<u64>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) reply: Option<Value>,
    pub(crate) auth: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) path: Option<String>,
    pub(crate) proxy: Option<String>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) parser: Parser,
    pub(crate) timeout: Duration,
    pub(crate) reconnect: bool,
    pub(crate) save: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) color: bool,
}

/// Parses the options. Returns `None` if help is requested.
pub(crate) fn parse() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut url = None;
    let mut words: Vec<String> = Vec::new();
    let mut options = Options {
        url: String::new(),
        event: None,
        ack: false,
        listen: false,
        count: None,
        namespaces: Vec::new(),
        reply: None,
        auth: None,
        headers: HeaderMap::new(),
        query: Vec::new(),
        path: None,
        proxy: None,
        transports: Vec::new(),
        parser: Parser::Json,
        timeout: Duration::from_secs(20),
        reconnect: true,
        save: None,
        json: false,
        color: true,
    };
    let mut line = lexopt::Parser::from_env();
    while let Some(word) = line.next()? {
        match word {
            Short('a') | Long("ack") => options.ack = true,
            Short('l') | Long("listen") => options.listen = true,
            Short('c') | Long("count") => options.count = Some(line.value()?.parse()?),
            Short('n') | Long("namespace") => options.namespaces.push(line.value()?.string()?),
            Short('r') | Long("reply") => {
                options.reply = Some(line.value()?.parse_with(|text| serde_json::from_str(text))?);
            }
            Short('A') | Long("auth") => options.auth = Some(line.value()?.string()?),
            Short('H') | Long("header") => {
                let (name, value) = line.value()?.parse_with(header)?;
                options.headers.append(name, value);
            }
            Short('q') | Long("query") => {
                let pair = line.value()?.string()?;
                let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
                options.query.push((key.into(), value.into()));
            }
            Short('p') | Long("path") => options.path = Some(line.value()?.string()?),
            Short('x') | Long("proxy") => options.proxy = Some(line.value()?.string()?),
            Short('t') | Long("transport") => {
                options.transports.push(line.value()?.parse_with(transport)?);
            }
            Short('m') | Long("msgpack") => options.parser = Parser::MsgPack,
            Short('w') | Long("timeout") => {
                let seconds: f64 = line.value()?.parse()?;
                options.timeout =
                    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())?;
            }
            Long("no-reconnect") => options.reconnect = false,
            Short('s') | Long("save") => options.save = Some(line.value()?.into()),
            Short('j') | Long("json") => options.json = true,
            Long("no-color") => options.color = false,
            Short('h') | Long("help") => return Ok(None),
            Value(word) if url.is_none() => url = Some(word.string()?),
            Value(word) => words.push(word.string()?),
            _ => return Err(word.unexpected()),
        }
    }
    options.url = url.ok_or("the URL is missing")?;
    if let Some((event, arguments)) = words.split_first() {
        options.event = Some((event.clone(), values(arguments)?));
    }
    Ok(Some(options))
}

/// Parses arguments as typed on the command line.
pub(crate) fn values(words: &[String]) -> Result<Values, String> {
    words.iter().map(|word| argument(word)).collect::<Result<Vec<_>, _>>().map(Values)
}

fn argument(word: &str) -> Result<Value, String> {
    if let Some(path) = word.strip_prefix('@') {
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        return Ok(Value::Binary(Binary::from(bytes).0));
    }
    Ok(serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.into())))
}

/// Parses the JSON of `--auth`.
pub(crate) fn auth(
    text: &str,
) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
    Ok(match text.strip_prefix('@') {
        Some(path) => serde_json::from_str(&std::fs::read_to_string(path)?)?,
        None => serde_json::from_str(text)?,
    })
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header must have the form NAME:VALUE")?;
    let name = HeaderName::from_str(name.trim()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "polling" => Ok(Transport::Polling),
        "websocket" => Ok(Transport::WebSocket),
        other => Err(format!("unknown transport: {other}")),
    }
}
