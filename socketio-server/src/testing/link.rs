//! A connection: the client's state machine, the task that polls for it, and the namespaces that
//! share it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
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

use crate::{
    server::Server,
    sync::{Mutex, lock},
    testing::{error::TestError, received::ReceivedEvent, wire::Wire},
    time::now,
};

/// Packets from the server, except acks.
pub(super) enum Incoming {
    Connected(Option<RawJson>),
    Refused(RawJson),
    Event { id: Option<AckId>, args: Args },
    Disconnected,
}

/// A connection, which clients in several namespaces share.
pub(super) struct SharedConnection {
    wire: Arc<Wire>,
    parser: Parser,
    state: Arc<Mutex<State>>,
    poll_loop: JoinHandle<()>,
}

type Machine = Connection<oneshot::Sender<Args>>;

struct State {
    machine: Machine,
    next_ack: u64,
    routes: HashMap<Nsp, Route>,
}

/// The destination of a namespace's packets.
struct Route {
    incoming: mpsc::UnboundedSender<Incoming>,
    offset: Option<String>,
}

/// One namespace of a connection.
pub(super) struct Link {
    connection: Arc<SharedConnection>,
    nsp: Nsp,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    /// Events that arrived before the response to CONNECT.
    unread: VecDeque<Incoming>,
    id: String,
    pid: Option<String>,
    recovered: bool,
}

/// The data with which a client asks for its session, and the events that the test has not read
/// yet.
#[derive(Default)]
pub(super) struct PreviousSession {
    pid: Option<String>,
    offset: Option<String>,
    unread: VecDeque<Incoming>,
}

#[derive(Default, Deserialize)]
struct ConnectResponse {
    sid: String,
    pid: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    data: Option<serde_json::Value>,
}

impl SharedConnection {
    /// Opens a session without joining a namespace.
    pub(super) async fn open(io: &Server, request: http::Request<()>) -> Result<Self, TestError> {
        let parser = io.parser();
        let wire = Arc::new(Wire::open(io.engine().clone(), request).await?);
        let machine = Machine::client(Protocol::V5, Limits::default()).with_parser(parser);
        let state = Arc::new(Mutex::new(State { machine, next_ack: 0, routes: HashMap::new() }));
        let poll_loop = tokio::spawn(poll_loop(wire.clone(), state.clone()));
        Ok(Self { wire, parser, state, poll_loop })
    }

    /// Drops the pending poll.
    pub(super) fn drop_connection(&self) {
        self.poll_loop.abort();
        drop(close(&self.state));
    }

    /// Waits until the poll has been dropped.
    pub(super) async fn connection_dropped(&self) {
        while !self.poll_loop.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn close(&self) -> Result<(), TestError> {
        self.wire.post_packet(PacketType::Close, "").await
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut lock(&self.state))
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        self.drop_connection();
    }
}

impl Link {
    /// Joins a namespace and waits for the response. Events that arrive before it are kept.
    pub(super) async fn join(
        connection: Arc<SharedConnection>,
        nsp: &Nsp,
        auth: &serde_json::Value,
        previous_session: PreviousSession,
    ) -> Result<Self, TestError> {
        let (sender, incoming) = mpsc::unbounded_channel();
        let joined = connection.with(|state| {
            let known = state.routes.get(nsp).is_some_and(|route| !route.incoming.is_closed());
            if !known {
                let route = Route { incoming: sender, offset: previous_session.offset.clone() };
                state.routes.insert(nsp.clone(), route);
                state.machine.connect(nsp);
            }
            known
        });
        if joined {
            return Err(TestError::AlreadyJoined);
        }
        let (nsp, unread) = (nsp.clone(), VecDeque::new());
        let (id, pid) = (String::new(), previous_session.pid.clone());
        let mut link = Self { connection, nsp, incoming, unread, id, pid, recovered: false };
        link.connect(auth, previous_session).await?;
        Ok(link)
    }

    async fn connect(
        &mut self,
        auth: &serde_json::Value,
        previous_session: PreviousSession,
    ) -> Result<(), TestError> {
        let auth = previous_session.claim(auth);
        let frames = self.connection.parser.encode_connect(Protocol::V5, &self.nsp, &auth)?;
        self.connection.wire.post(&[frames]).await?;
        loop {
            match self.next_packet().await? {
                Incoming::Connected(payload) => {
                    let response =
                        payload.and_then(|payload| payload.decode::<ConnectResponse>().ok());
                    let ConnectResponse { sid, pid } = response.unwrap_or_default();
                    (self.id, self.recovered) = (sid, pid.is_some() && pid == previous_session.pid);
                    self.pid = pid;
                    if self.recovered {
                        self.unread = previous_session
                            .unread
                            .into_iter()
                            .chain(self.unread.drain(..))
                            .collect();
                    }
                    return Ok(());
                }
                Incoming::Refused(error) => {
                    let Refusal { message, data } = error.decode()?;
                    return Err(TestError::Refused { message, data });
                }
                Incoming::Disconnected => return Err(TestError::Disconnected),
                event @ Incoming::Event { .. } => self.unread.push_back(event),
            }
        }
    }

    /// Returns what a new connection needs to continue the session of this one.
    pub(super) fn previous_session(&mut self) -> PreviousSession {
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend(std::iter::from_fn(|| self.incoming.try_recv().ok()));
        unread.retain(|it| matches!(it, Incoming::Event { .. }));
        let offset = self.connection.with(|state| state.routes.get(&self.nsp)?.offset.clone());
        PreviousSession { pid: self.pid.clone(), offset, unread }
    }

    pub(super) fn connection(&self) -> &Arc<SharedConnection> {
        &self.connection
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn recovered(&self) -> bool {
        self.recovered
    }

    /// Returns the next packet that was not read yet.
    pub(super) async fn incoming(&mut self) -> Result<Incoming, TestError> {
        match self.unread.pop_front() {
            Some(unread) => Ok(unread),
            None => self.next_packet().await,
        }
    }

    async fn next_packet(&mut self) -> Result<Incoming, TestError> {
        self.incoming.recv().await.ok_or(TestError::Closed)
    }

    pub(super) fn received(&self, id: Option<AckId>, args: Args) -> ReceivedEvent {
        let SharedConnection { parser, wire, .. } = &*self.connection;
        ReceivedEvent { args, id, nsp: self.nsp.clone(), parser: *parser, wire: wire.clone() }
    }

    pub(super) async fn emit<T: Serialize + ?Sized>(
        &self,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<(), TestError> {
        let frames = self.connection.parser.encode_event(&self.nsp, id, event, args)?;
        self.connection.wire.post(&[frames]).await
    }

    pub(super) async fn emit_all<T: Serialize>(
        &self,
        events: impl IntoIterator<Item = (&str, T)>,
    ) -> Result<(), TestError> {
        let parser = self.connection.parser;
        let encode = |(event, args)| parser.encode_event(&self.nsp, None, event, &args);
        let frames = events.into_iter().map(encode).collect::<Result<Vec<_>, EncodeError>>()?;
        self.connection.wire.post(&frames).await
    }

    pub(super) async fn emit_with_ack<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Args, TestError> {
        let (sender, answer) = oneshot::channel();
        let id = self.connection.with(|state| {
            let id = AckId::from(state.next_ack);
            state.next_ack += 1;
            // The caller has a deadline of its own.
            let forever = Duration::from_secs(u32::MAX.into());
            let now = now();
            let expected = state.machine.expect_ack(now, &self.nsp, id, forever, sender);
            expected.map(|()| id).map_err(|_| TestError::Disconnected)
        })?;
        self.emit(Some(id), event, args).await?;
        answer.await.map_err(|_| TestError::Disconnected)
    }

    pub(super) async fn disconnect(&self) -> Result<(), TestError> {
        self.connection.with(|state| state.machine.disconnect(&self.nsp));
        self.connection.wire.post(&[self.connection.parser.encode_disconnect(&self.nsp)]).await
    }
}

impl PreviousSession {
    /// Returns the credentials, with the fields that the JavaScript client adds for recovery.
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

/// Polls while the session is open, and answers its pings.
async fn poll_loop(wire: Arc<Wire>, state: Arc<Mutex<State>>) {
    while let Some(packets) = wire.poll().await {
        for packet in packets {
            match packet.kind {
                PacketType::Ping => {
                    let _ = wire.post_packet(PacketType::Pong, "").await;
                }
                PacketType::Message => {
                    let now = now();
                    let mut state = lock(&state);
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

/// Closes the state machine. Returns its outputs, which contain the waiters of acks. Dropping them
/// reports the end.
fn close(state: &Mutex<State>) -> Vec<Output<oneshot::Sender<Args>>> {
    let mut state = lock(state);
    state.machine.close();
    // The offsets are still needed.
    for route in state.routes.values_mut() {
        route.incoming = mpsc::unbounded_channel().0;
    }
    std::iter::from_fn(|| state.machine.poll_output()).collect()
}

/// Delivers an output. Runs no user code: waiters and channels only wake tasks.
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
