//! A connection: the client's machine, and the task that polls for it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engineio_parser::PacketType;
use serde::{Deserialize, Serialize};
use socketio_parser::{
    AckId, Args, Connection, EncodeError, Limits, Nsp, Output, Parser, Protocol, RawJson,
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

pub(super) struct Link {
    wire: Arc<Wire>,
    parser: Parser,
    state: Arc<Mutex<State>>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    /// Events that came before the answer to CONNECT.
    early: VecDeque<Incoming>,
    pump: JoinHandle<()>,
    id: String,
}

type Machine = Connection<oneshot::Sender<Args>>;

struct State {
    machine: Machine,
    next_ack: u64,
}

#[derive(Deserialize)]
struct Granted {
    sid: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    data: Option<serde_json::Value>,
}

impl Link {
    /// Opens a session, in no namespace.
    pub(super) async fn open(io: &Server, request: http::Request<()>) -> Result<Self, TestError> {
        let parser = io.parser();
        let wire = Arc::new(Wire::open(io.engine().clone(), request).await?);
        let machine = Machine::client(Protocol::V5, Limits::default()).with_parser(parser);
        let state = Arc::new(Mutex::new(State { machine, next_ack: 0 }));
        let (sender, incoming) = mpsc::unbounded_channel();
        let pump = tokio::spawn(pump(wire.clone(), state.clone(), sender));
        let (early, id) = (VecDeque::new(), String::new());
        Ok(Self { wire, parser, state, incoming, early, pump, id })
    }

    /// Asks for a namespace, and waits for the answer. Events that come before it stay.
    pub(super) async fn connect(
        &mut self,
        nsp: &Nsp,
        auth: &serde_json::Value,
    ) -> Result<(), TestError> {
        self.with(|state| state.machine.connect(nsp));
        let frames = self.parser.encode_connect(Protocol::V5, nsp, auth)?;
        self.wire.post(&[frames]).await?;
        loop {
            match self.arriving().await? {
                Incoming::Connected(payload) => {
                    let granted = payload.and_then(|payload| payload.decode::<Granted>().ok());
                    self.id = granted.map(|granted| granted.sid).unwrap_or_default();
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

    pub(super) fn id(&self) -> &str {
        &self.id
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

    pub(super) fn received(&self, nsp: &Nsp, id: Option<AckId>, args: Args) -> Received {
        Received { args, id, nsp: nsp.clone(), parser: self.parser, wire: self.wire.clone() }
    }

    pub(super) async fn emit<T: Serialize + ?Sized>(
        &self,
        nsp: &Nsp,
        id: Option<AckId>,
        event: &str,
        args: &T,
    ) -> Result<(), TestError> {
        self.wire.post(&[self.parser.encode_event(nsp, id, event, args)?]).await
    }

    pub(super) async fn emit_all<T: Serialize>(
        &self,
        nsp: &Nsp,
        events: impl IntoIterator<Item = (&str, T)>,
    ) -> Result<(), TestError> {
        let encode = |(event, args)| self.parser.encode_event(nsp, None, event, &args);
        let frames = events.into_iter().map(encode).collect::<Result<Vec<_>, EncodeError>>()?;
        self.wire.post(&frames).await
    }

    pub(super) async fn emit_with_ack<T: Serialize + ?Sized>(
        &self,
        nsp: &Nsp,
        event: &str,
        args: &T,
    ) -> Result<Args, TestError> {
        let (sender, answer) = oneshot::channel();
        let id = self.with(|state| {
            let id = AckId::from(state.next_ack);
            state.next_ack += 1;
            // The caller has a deadline of its own.
            let forever = Duration::from_secs(u32::MAX.into());
            let now = tokio::time::Instant::now().into_std();
            let expected = state.machine.expect_ack(now, nsp, id, forever, sender);
            expected.map(|()| id).map_err(|_| TestError::Disconnected)
        })?;
        self.emit(nsp, Some(id), event, args).await?;
        answer.await.map_err(|_| TestError::Disconnected)
    }

    pub(super) async fn disconnect(&self, nsp: &Nsp) -> Result<(), TestError> {
        self.with(|state| state.machine.disconnect(nsp));
        self.wire.post(&[self.parser.encode_disconnect(nsp)]).await
    }

    pub(super) async fn close(&self) -> Result<(), TestError> {
        self.wire.post_packet(PacketType::Close, "").await
    }

    /// The poll is dropped where it waits.
    pub(super) fn lose(&self) {
        self.pump.abort();
        drop(close(&self.state));
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.lose();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Polls for as long as the session lives, and answers its pings.
async fn pump(
    wire: Arc<Wire>,
    state: Arc<Mutex<State>>,
    incoming: mpsc::UnboundedSender<Incoming>,
) {
    while let Some(packets) = wire.poll().await {
        for packet in packets {
            match packet.kind {
                PacketType::Ping => {
                    let _ = wire.post_packet(PacketType::Pong, "").await;
                }
                PacketType::Message => {
                    let mut outputs = Vec::new();
                    let now = tokio::time::Instant::now().into_std();
                    let broken = {
                        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                        let broken = state.machine.handle_data(now, packet.data).is_err();
                        outputs.extend(std::iter::from_fn(|| state.machine.poll_output()));
                        broken
                    };
                    outputs.into_iter().for_each(|output| deliver(output, &incoming));
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
    std::iter::from_fn(|| state.machine.poll_output()).collect()
}

fn deliver(output: Output<oneshot::Sender<Args>>, incoming: &mpsc::UnboundedSender<Incoming>) {
    let incoming_one = match output {
        Output::Acked { waiter, args, .. } => return drop(waiter.send(args)),
        Output::Connected { payload, .. } => Incoming::Connected(payload),
        Output::Refused { error, .. } => Incoming::Refused(error),
        Output::Event { id, args, .. } => Incoming::Event { id, args },
        Output::Disconnected { .. } => Incoming::Disconnected,
        _ => return,
    };
    let _ = incoming.send(incoming_one);
}
