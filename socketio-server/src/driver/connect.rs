//! CONNECT: how a client joins a namespace.
//!
//! ```text
//!               CONNECT ──────────┐
//!                  │ the namespace exists and no function decides on it
//!                  │              │
//!                  │         Resolving     listeners of new namespaces return,
//!                  │              │        functions of parents decide
//!                  ▼              │
//!               Entered ◄─────────┘        the client counts as a user of the namespace
//!                  │ it claims a session
//!                  ├─────────► Restoring   the log or the session store looks for the session
//!                  ▼              │
//!               Admitted ◄────────┘        the client has a socket, new or restored
//!                  │ there are middlewares
//!                  ├─────────► Middlewares
//!                  ▼              │
//!               Accepted ◄────────┘        its queue has room: the client gets the events that
//!                  │                       it missed, then the response
//!                  ▼
//!           NamespaceSlot
//! ```
//!
//! Only `Resolving`, `Restoring` and `Middlewares` wait. An accepted client whose queue is more
//! than half full, because of the events that it missed in another namespace, waits in
//! `Middlewares` too. A CONNECT ends without a slot in these cases:
//!
//! - *refused*, and the client gets a `CONNECT_ERROR`: its auth payload is too large, no namespace
//!   has the name, a function or a middleware fails, no id could be generated, or the namespace was
//!   closed or the socket disconnected in the meantime;
//! - *withdrawn*, without a response: the client sent DISCONNECT, or the connection was lost. A
//!   client that was about to recover its session may try again;
//! - *closed* with the connection: the events that the client missed are no longer available, or
//!   its queue has no room for the response.
//!
//! No state has a deadline of its own. The store's calls have the `request_timeout` of the adapter,
//! and a client without a namespace is closed after `connect_timeout`.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytestring::ByteString;
use engineio_server::Frames;
use serde::Serialize;
use socketio_core::poll_caught;
use socketio_parser::{Nsp, Protocol, RawJson};

use crate::{
    driver::{
        Driver,
        handlers::{Call, CallName},
    },
    error::HandlerError,
    handlers::{ConnectContext, ConnectHandler, HandlerFuture, Stage, Step, extractors::auth_size},
    namespace::{
        Namespace,
        recovery::{Claim, Lease, Recoverable, RecoveryLog, Resume, ReturningSocket},
        registry::{Entered, Entry},
    },
    socket::{Socket, ack::WaitingAck, inner::SocketInner},
};

/// The content of the response to a CONNECT.
#[derive(Serialize)]
struct Connected<'a> {
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
}

/// A future of the namespace that a client enters, or of the error that refuses it.
type Resolution = Pin<Box<dyn Future<Output = Result<Entered, HandlerError>> + Send>>;

/// A CONNECT that waits.
pub(super) enum Connect {
    Resolving {
        nsp: Nsp,
        auth: Option<RawJson>,
        future: Resolution,
    },
    Restoring {
        entered: Entered,
        auth: Option<RawJson>,
        /// Keeps the namespace until the client has a socket.
        membership: Lease,
        future: Pin<Box<dyn Future<Output = Option<ReturningSocket>> + Send>>,
    },
    Middlewares {
        socket: Socket,
        future: HandlerFuture,
    },
}

impl Connect {
    pub(super) fn nsp(&self) -> &Nsp {
        match self {
            Self::Resolving { nsp, .. } => nsp,
            Self::Restoring { entered, .. } => entered.namespace.nsp(),
            Self::Middlewares { socket, .. } => socket.nsp(),
        }
    }

    fn auth(&self) -> Option<&RawJson> {
        match self {
            Self::Resolving { auth, .. } | Self::Restoring { auth, .. } => auth.as_ref(),
            Self::Middlewares { socket, .. } => socket.0.auth.as_deref(),
        }
    }
}

/// How far a CONNECT has come.
enum Progress {
    /// The future of this state has to be polled.
    Due(Connect),
    /// The future of this state wakes the driver.
    Waits(Connect),
    Entered(Entered, Option<RawJson>),
    Admitted {
        socket: Socket,
        /// The template of the parent whose function has accepted the client.
        accepted_by: Option<Namespace>,
    },
    Accepted(Socket),
    Refused(Nsp, HandlerError),
    /// Refused after the client has got a socket.
    SocketRefused(Socket, Stage, HandlerError),
}

impl Driver {
    /// Handles a CONNECT of the client.
    pub(super) fn connect(&mut self, nsp: Nsp, auth: Option<RawJson>, cx: &mut Context<'_>) {
        let limit = self.registry.config.max_auth_bytes;
        let undecided = self.connects.iter().map(|connect| auth_size(connect.auth()));
        let bytes = self.slots.auth_bytes() + undecided.sum::<usize>();
        if auth_size(auth.as_ref()).saturating_add(bytes) > limit {
            let error = HandlerError::public(format!("auth larger than {limit} bytes"));
            return self.refuse(Protocol::V5, &nsp, &error);
        }
        let progress = match self.registry.enter_namespace(&nsp) {
            Some(Entry::Entered(entered)) => Progress::Entered(entered, auth),
            None if !self.registry.has_parents() => {
                let error = HandlerError::public("Invalid namespace");
                return self.refuse(Protocol::V5, &nsp, &error);
            }
            Some(Entry::Undecided) | None => {
                let (registry, handle) = (self.registry.clone(), self.client.handle.clone());
                let future = Box::pin(registry.resolve(nsp.clone(), auth.clone(), handle));
                Progress::Due(Connect::Resolving { nsp, auth, future })
            }
        };
        self.advance(progress, cx);
    }

    /// Continues the CONNECTs that wait.
    pub(super) fn poll_connects(&mut self, cx: &mut Context<'_>) {
        for connect in std::mem::take(&mut self.connects) {
            self.advance(Progress::Due(connect), cx);
        }
    }

    /// Takes a CONNECT from state to state until it waits, is refused, or the client has joined.
    fn advance(&mut self, mut progress: Progress, cx: &mut Context<'_>) {
        loop {
            progress = match progress {
                Progress::Due(connect) => self.poll_connect(connect, cx),
                Progress::Waits(connect) => return self.connects.push(connect),
                Progress::Entered(entered, auth) => self.claim_session(entered, auth),
                Progress::Admitted { socket, accepted_by } => {
                    start_middlewares(socket, accepted_by.as_ref())
                }
                Progress::Accepted(socket) if socket.0.is_disconnected() => disconnected(socket),
                Progress::Accepted(socket) => {
                    let handle = &self.client.handle;
                    if handle.has_room() || handle.is_closed() {
                        return self.join(socket, cx);
                    }
                    wait_for_room(socket)
                }
                // As in Node, a client of protocol v4 gets this error in the form of v5, and the
                // error of a middleware as a bare message.
                Progress::Refused(nsp, error) => return self.refuse(Protocol::V5, &nsp, &error),
                Progress::SocketRefused(socket, stage, error) => {
                    return self.refuse_socket(socket, stage, error, cx);
                }
            }
        }
    }

    fn poll_connect(&mut self, connect: Connect, cx: &mut Context<'_>) -> Progress {
        match connect {
            Connect::Resolving { nsp, auth, mut future } => {
                match poll_resolution(&mut future, cx) {
                    Poll::Pending => Progress::Waits(Connect::Resolving { nsp, auth, future }),
                    Poll::Ready(Ok(entered)) => Progress::Entered(entered, auth),
                    Poll::Ready(Err(error)) => {
                        if !error.is_public() {
                            let error = error.for_log();
                            tracing::warn!(target: "socketio::namespace", %nsp, error, "a parent namespace's function failed");
                        }
                        Progress::Refused(nsp, error)
                    }
                }
            }
            Connect::Restoring { entered, auth, membership, mut future } => {
                let Poll::Ready(restored) = future.as_mut().poll(cx) else {
                    let waiting = Connect::Restoring { entered, auth, membership, future };
                    return Progress::Waits(waiting);
                };
                // From here on the socket keeps the namespace.
                membership.disarm();
                if let Some(socket) = restored.and_then(ReturningSocket::into_socket) {
                    let accepted_by = entered.accepted_by;
                    return Progress::Admitted { socket: Socket(socket), accepted_by };
                }
                self.counters().recoveries.not_recovered.one();
                self.create_socket(entered, auth, true)
            }
            Connect::Middlewares { socket, mut future } => match poll_caught(&mut future, cx) {
                Step::Pending => Progress::Waits(Connect::Middlewares { socket, future }),
                Step::Done(_) => Progress::Accepted(socket),
                Step::Failed(error) => Progress::SocketRefused(socket, Stage::Middleware, error),
                Step::Panicked(message) => {
                    Progress::SocketRefused(socket, Stage::Panic, HandlerError::from(message))
                }
            },
        }
    }

    /// Looks for the session that a client claims, if the namespace has recovery.
    fn claim_session(&self, entered: Entered, mut auth: Option<RawJson>) -> Progress {
        let namespace = &entered.namespace;
        namespace.join_cluster();
        if namespace.recovery_log().is_none() || self.protocol() != Protocol::V5 {
            return self.create_socket(entered, auth, false);
        }
        let Some(claim) = Claim::take(&mut auth, &self.client) else {
            return self.create_socket(entered, auth, true);
        };
        let membership = self.membership(namespace);
        // The session keeps the namespace if the client is lost after the session was found.
        namespace.0.add_user();
        let future = Box::pin(namespace.clone().claim(claim, self.membership(namespace)));
        Progress::Due(Connect::Restoring { entered, auth, membership, future })
    }

    /// Makes a new socket a member of the namespace, so that a middleware may make it join rooms.
    /// Broadcasts reach it once it is connected.
    fn create_socket(
        &self,
        entered: Entered,
        auth: Option<RawJson>,
        recoverable: bool,
    ) -> Progress {
        let Entered { namespace, accepted_by } = entered;
        // A client of protocol v4 does not receive the id: it uses the session's id, as Node does.
        let nsp = namespace.nsp();
        let sid = self.client.handle.sid();
        let id = match self.protocol() {
            Protocol::V5 => engineio_server::generate_sid(),
            Protocol::V4 if nsp.is_root() => Ok(sid.clone()),
            Protocol::V4 => Ok(ByteString::from(format!("{nsp}#{sid}"))),
        };
        let session = recoverable.then(Recoverable::new).transpose();
        let (Ok(id), Ok(session)) = (id, session) else {
            self.registry.leave(&namespace);
            return Progress::Refused(nsp.clone(), "the generator of ids failed".into());
        };
        let client = self.client.clone();
        let inner = SocketInner::new(id, namespace.clone(), client, auth, session, None);
        let socket = Socket(Arc::new(inner));
        namespace.hub().insert(socket.0.clone());
        if let Some(log) = namespace.recovery_log().filter(|_| recoverable) {
            log.add_socket(&socket.0);
        }
        Progress::Admitted { socket, accepted_by }
    }

    fn protocol(&self) -> Protocol {
        self.client.machine().protocol()
    }

    /// Sends the response and gives the client a slot.
    fn join(&mut self, socket: Socket, cx: &mut Context<'_>) {
        let nsp = socket.nsp().clone();
        let accepted = self.client.machine().accept(&nsp);
        let pid = socket.0.recoverable.as_deref().map(|recoverable| &**recoverable.pid());
        let connected = Connected { sid: socket.id(), pid };
        let parser = self.client.config.parser;
        let connected = parser.encode_connect(self.protocol(), &nsp, &connected);
        let result = match connected {
            Ok(connected) if accepted => self.respond(&socket, connected),
            _ => Resume::Impossible,
        };
        if result != Resume::Done {
            // The client has left.
            self.client.machine().disconnect(&nsp);
            return self.remove(&socket, result == Resume::Lost);
        }
        self.counters().connected.one();
        socket.0.session_changed();
        tracing::debug!(target: "socketio::namespace", %nsp, "a client joined the namespace");
        self.connect_deadline = None;
        self.connection.handle().authenticated();
        self.slots.push(socket.clone());
        let table = socket.namespace().table();
        let context = ConnectContext { socket };
        self.run_lifecycle("connection", &table.connection, &context, cx);
    }

    /// Sends the response. A client that recovers its session gets the events it missed before.
    fn respond(&mut self, socket: &Socket, connected: Frames) -> Resume {
        if !socket.0.is_recovered() {
            // A task that disconnects the socket from now on leaves a request for the driver, which
            // handles it at its next check.
            let connected = self.control(connected, |session| socket.0.set_connected(session));
            return if connected { Resume::Done } else { Resume::Lost };
        }
        let result = socket.namespace().resume(&socket.0, connected);
        let recoveries = &self.counters().recoveries;
        match result {
            Resume::Done => recoveries.recovered.one(),
            Resume::Impossible => recoveries.not_recovered.one(),
            Resume::Lost => {}
        }
        if result == Resume::Impossible {
            tracing::debug!(target: "socketio::namespace", "some events that a client missed are no longer available: closing its connection");
            self.close(engineio_server::Unsent::Discard);
        }
        result
    }

    fn refuse_socket(
        &mut self,
        socket: Socket,
        stage: Stage,
        error: HandlerError,
        cx: &mut Context<'_>,
    ) {
        self.remove(&socket, false);
        self.refuse(self.protocol(), socket.nsp(), &error);
        if !error.is_public() {
            let call = Call { name: CallName::Lifecycle("connect"), socket, requested: None };
            self.failed(call, stage, error, cx);
        }
    }

    fn refuse(&mut self, protocol: Protocol, nsp: &Nsp, error: &HandlerError) {
        if self.client.machine().refuse(nsp) {
            self.send_refusal(protocol, nsp, &error.message_for_peer(), error.data());
        }
    }

    pub(super) fn send_refusal(
        &mut self,
        protocol: Protocol,
        nsp: &Nsp,
        message: &str,
        data: Option<&serde_json::Value>,
    ) {
        self.counters().refused.one();
        tracing::debug!(target: "socketio::namespace", %nsp, message, "a client was refused");
        let parser = self.client.config.parser;
        if let Ok(frames) = parser.encode_connect_error(protocol, nsp, message, &data) {
            self.control(frames, |_| {});
        }
    }

    /// Refuses the clients whose sockets other tasks have disconnected. With `all`, because the
    /// connection is closing, refuses all that have a socket and withdraws the others.
    pub(super) fn refuse_disconnected(&mut self, all: bool, cx: &mut Context<'_>) {
        for connect in std::mem::take(&mut self.connects) {
            match connect {
                Connect::Middlewares { socket, .. } if all || socket.0.is_disconnected() => {
                    self.advance(disconnected(socket), cx);
                }
                connect if all => self.withdraw(connect, false),
                connect => self.connects.push(connect),
            }
        }
    }

    /// Ends a CONNECT without a response. With `retain`, a client that was recovering its session
    /// may try again.
    pub(super) fn withdraw(&self, connect: Connect, retain: bool) {
        if let Connect::Middlewares { socket, .. } = connect {
            self.remove(&socket, retain);
        }
    }
}

/// Refuses a client whose socket was disconnected in the meantime, for example by a middleware.
fn disconnected(socket: Socket) -> Progress {
    let error = HandlerError::public("socket has been disconnected");
    Progress::SocketRefused(socket, Stage::Middleware, error)
}

/// Polls the decision of parents' functions. A panic refuses only this client.
fn poll_resolution(
    future: &mut Resolution,
    cx: &mut Context<'_>,
) -> Poll<Result<Entered, HandlerError>> {
    catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))).unwrap_or_else(|_| {
        tracing::error!(target: "socketio::namespace", "a parent namespace's function panicked");
        Poll::Ready(Err(HandlerError::public("internal error")))
    })
}

/// Starts the namespace's middlewares. A recovered socket that was accepted before skips them.
fn start_middlewares(socket: Socket, accepted_by: Option<&Namespace>) -> Progress {
    let namespace = socket.namespace();
    if namespace.0.is_closed() {
        let error = HandlerError::public("Invalid namespace");
        return Progress::SocketRefused(socket, Stage::Middleware, error);
    }
    let middlewares = namespace.middlewares(accepted_by);
    let accepted = socket.0.recoverable.as_deref().is_some_and(Recoverable::was_accepted);
    let skips = namespace.recovery_log().is_some_and(RecoveryLog::skips_middlewares);
    let skip = accepted && socket.recovered() && skips;
    if skip || middlewares.is_empty() {
        return Progress::Accepted(socket);
    }
    let future = Box::pin(run_middlewares(middlewares, socket.clone()));
    Progress::Due(Connect::Middlewares { socket, future })
}

/// Lets a client wait until its queue has room for the response.
fn wait_for_room(socket: Socket) -> Progress {
    let client = socket.0.client.clone();
    let future = Box::pin(async move {
        client.handle.ready().await;
        Ok(None)
    });
    Progress::Due(Connect::Middlewares { socket, future })
}

/// Runs the middlewares one after another.
async fn run_middlewares(
    middlewares: Vec<ConnectHandler>,
    socket: Socket,
) -> Result<Option<Box<WaitingAck>>, HandlerError> {
    for middleware in middlewares {
        let result = match middleware(&mut ConnectContext { socket: socket.clone() }) {
            Ok(future) => future.await,
            Err(error) => Err(error),
        };
        // An error's message is user code, so it is formatted here, where a panic is caught.
        let public = &socket.0.client.config.public_errors;
        result.map_err(|error| error.resolved(public).formatted())?;
    }
    Ok(None)
}
