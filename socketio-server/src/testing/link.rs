//! A connection: the client's machine, the task that polls for it, and the namespaces that share them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engineio_parser::PacketType;
use serde::{Deserialize, Serialize};
use socketio_parser::{
    AckId, Args, Connection, EncodeError, Limits, Nsp, Output, Parser, Protocol, RawJson, Value,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{error::TestError, received::Received, wire::Wire};
use crate::server::Server;

/// What the server has sent, but for answers.
pub(super) enum Incoming {
    Connected(Option<RawJson>),
    Refused(RawJson),
    Event { id: Option<AckId>, args: Args },
    Disconnected,
}

/// A connection, which clients in several namespaces share.
pub(super) struct Line {
    wire: Arc<Wire>,
    parser: Parser,
    state: Arc<Mutex<State>>,
    pump: JoinHandle<()>,
}

type Machine = Connection<oneshot::Sender<Args>>;

struct State {
    machine: Machine,
    next_ack: u64,
    routes: HashMap<Nsp, Route>,
}

/// Where a namespace's packets go.
struct Route {
    incoming: mpsc::UnboundedSender<Incoming>,
    offset: Option<String>,
}

/// One namespace of a connection.
pub(super) struct Link {
    line: Arc<Line>,
    nsp: Nsp,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    /// Events that came before the answer to CONNECT.
    early: VecDeque<Incoming>,
    id: String,
    pid: Option<String>,
    recovered: bool,
}

/// What a client says that wants its session back, and the events that it has not looked at.
#[derive(Default)]
pub(super) struct Past {
    pid: Option<String>,
    offset: Option<String>,
    unread: VecDeque<Incoming>,
}

#[derive(Default, Deserialize)]
struct Granted {
    sid: String,
    pid: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    data: Option<serde_json::Value>,
}

impl Line {
    /// Opens a session, in no namespace.
    pub(super) async fn open(io: &Server, request: http::Request<()>) -> Result<Self, TestError> {
        let parser = io.parser();
        let wire = Arc::new(Wire::open(io.engine().clone(), request).await?);
        let machine = Machine::client(Protocol::V5, Limits::default()).with_parser(parser);
        let state = Arc::new(Mutex::new(State { machine, next_ack: 0, routes: HashMap::new() }));
        let pump = tokio::spawn(pump(wire.clone(), state.clone()));
        Ok(Self { wire, parser, state, pump })
    }

    /// The poll is dropped where it waits.
    pub(super) fn lose(&self) {
        self.pump.abort();
        drop(close(&self.state));
    }

    /// Waits until the poll was dropped.
    pub(super) async fn lost(&self) {
        while !self.pump.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn close(&self) -> Result<(), TestError> {
        self.wire.post_packet(PacketType::Close, "").await
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lose();
    }
}

impl Link {
    /// Asks for a namespace, and waits for the answer. Events that come before it stay.
    pub(super) async fn join(
        line: Arc<Line>,
        nsp: &Nsp,
        auth: &serde_json::Value,
        past: Past,
    ) -> Result<Self, TestError> {
        let (sender, incoming) = mpsc::unbounded_channel();
        let joined = line.with(|state| {
            let known = state.routes.get(nsp).is_some_and(|route| !route.incoming.is_closed());
            if !known {
                let route = Route { incoming: sender, offset: past.offset.clone() };
                state.routes.insert(nsp.clone(), route);
                state.machine.connect(nsp);
            }
            known
        });
        if joined {
            return Err(TestError::Joined);
        }
        let (nsp, early) = (nsp.clone(), VecDeque::new());
        let (id, pid) = (String::new(), past.pid.clone());
        let mut link = Self { line, nsp, incoming, early, id, pid, recovered: false };
        link.connect(auth, past).await?;
        Ok(link)
    }

    async fn connect(&mut self, auth: &serde_json::Value, past: Past) -> Result<(), TestError> {
        let auth = past.claim(auth);
        let frames = self.line.parser.encode_connect(Protocol::V5, &self.nsp, &auth)?;
        self.line.wire.post(&[frames]).await?;
        loop {
            match self.arriving().await? {
                Incoming::Connected(payload) => {
                    let granted = payload.and_then(|payload| payload.decode::<Granted>().ok());
                    let Granted { sid, pid } = granted.unwrap_or_default();
                    (self.id, self.recovered) = (sid, pid.is_some() && pid == past.pid);
                    self.pid = pid;
                    if self.recovered {
                        self.early = past.unread.into_iter().chain(self.early.drain(..)).collect();
                    }
                    return Ok(());
                }
                Incoming::Refused(error) => {
                    let Refusal { message, data } = error.decode()?;
                    return Err(TestError::Refused { message, data });
                }
                Incoming::Disconnected => return Err(TestError::Disconnected),
                event @ Incoming::Event { .. } => self.early.push_back(event),
            }
        }
    }

    /// What another connection needs to go on where this one ended.
    pub(super) fn past(&mut self) -> Past {
        let mut unread = std::mem::take(&mut self.early);
        unread.extend(std::iter::from_fn(|| self.incoming.try_recv().ok()));
        unread.retain(|it| matches!(it, Incoming::Event { .. }));
        let offset = self.line.with(|state| state.routes.get(&self.nsp)?.offset.clone());
        Past { pid: self.pid.clone(), offset, unread }
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn recovered(&self) -> bool {
        self.recovered
    }

    /// What came first and was not looked at.
    pub(super) async fn incoming(&mut self) -> Result<Incoming, TestError> {
        match self.early.pop_front() {
            Some(early) => Ok(early),
            None => self.arriving().await,
        }
    }

    async fn arriving(&mut self) -> Result<Incoming, TestError> {
        self.incoming.recv().await.ok_or(TestError::Closed)
    }

    pub(super) fn received(&self, id: Option<AckId>, args: Args) -> Received {
        let Line { parser, wire, .. } = &*self.line;
        Received { args, id, nsp: self.nsp.clone(), parser: *parser, wire: wire.clone() }
    }

    pub(super) async fn emit<T: Serialize + ?Sized>(
        &self,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<(), TestError> {
        let frames = self.line.parser.encode_event(&self.nsp, id, event, args)?;
        self.line.wire.post(&[frames]).await
    }

    pub(super) async fn emit_all<T: Serialize>(
        &self,
        events: impl IntoIterator<Item = (&str, T)>,
    ) -> Result<(), TestError> {
        let parser = self.line.parser;
        let encode = |(event, args)| parser.encode_event(&self.nsp, None, event, &args);
        let frames = events.into_iter().map(encode).collect::<Result<Vec<_>, EncodeError>>()?;
        self.line.wire.post(&frames).await
    }

    pub(super) async fn emit_with_ack<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Args, TestError> {
        let (sender, answer) = oneshot::channel();
        let id = self.line.with(|state| {
            let id = AckId::from(state.next_ack);
            state.next_ack += 1;
            // The caller has a deadline of its own.
            let forever = Duration::from_secs(u32::MAX.into());
            let now = tokio::time::Instant::now().into_std();
            let expected = state.machine.expect_ack(now, &self.nsp, id, forever, sender);
            expected.map(|()| id).map_err(|_| TestError::Disconnected)
        })?;
        self.emit(Some(id), event, args).await?;
        answer.await.map_err(|_| TestError::Disconnected)
    }

    pub(super) async fn disconnect(&self) -> Result<(), TestError> {
        self.line.with(|state| state.machine.disconnect(&self.nsp));
        self.line.wire.post(&[self.line.parser.encode_disconnect(&self.nsp)]).await
    }
}

impl Past {
    /// The credentials, with what the JavaScript client adds to them.
    fn claim(&self, auth: &serde_json::Value) -> serde_json::Value {
        let (Some(pid), Some(offset)) = (&self.pid, &self.offset) else { return auth.clone() };
        let mut claim = serde_json::Map::new();
        claim.insert("pid".to_owned(), pid.as_str().into());
        claim.insert("offset".to_owned(), offset.as_str().into());
        claim.extend(auth.as_object().cloned().unwrap_or_default());
        claim.into()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Polls for as long as the session lives, and answers its pings.
async fn pump(wire: Arc<Wire>, state: Arc<Mutex<State>>) {
    while let Some(packets) = wire.poll().await {
        for packet in packets {
            match packet.kind {
                PacketType::Ping => {
                    let _ = wire.post_packet(PacketType::Pong, "").await;
                }
                PacketType::Message => {
                    let now = tokio::time::Instant::now().into_std();
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    let broken = state.machine.handle_data(now, packet.data).is_err();
                    while let Some(output) = state.machine.poll_output() {
                        deliver(&mut state.routes, output);
                    }
                    if broken {
                        return;
                    }
                }
                PacketType::Close => break,
                _ => {}
            }
        }
    }
    drop(close(&state));
}

/// Whoever waits for an answer learns it by the end of its waiter, which is in what is returned.
fn close(state: &Mutex<State>) -> Vec<Output<oneshot::Sender<Args>>> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.machine.close();
    // The offsets are still needed.
    for route in state.routes.values_mut() {
        route.incoming = mpsc::unbounded_channel().0;
    }
    std::iter::from_fn(|| state.machine.poll_output()).collect()
}

/// Nothing here is the user's: waiters and channels only wake tasks.
fn deliver(routes: &mut HashMap<Nsp, Route>, output: Output<oneshot::Sender<Args>>) {
    let (nsp, incoming) = match output {
        Output::Acked { waiter, args, .. } => return drop(waiter.send(args)),
        Output::Connected { nsp, payload } => (nsp, Incoming::Connected(payload)),
        Output::Refused { nsp, error } => (nsp, Incoming::Refused(error)),
        Output::Event { nsp, id, args } => (nsp, Incoming::Event { id, args }),
        Output::Disconnected { nsp } => (nsp, Incoming::Disconnected),
        _ => return,
    };
    let Some(route) = routes.get_mut(&nsp) else { return };
    if let Incoming::Event { id: None, args } = &incoming
        && let Ok(values) = args.values()
        && let Some(Value::String(offset)) = values.last()
    {
        route.offset = Some(offset.clone());
    }
    let _ = route.incoming.send(incoming);
}
