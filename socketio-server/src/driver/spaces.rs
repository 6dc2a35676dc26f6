//! The namespaces of one client: how it joins and leaves them.

use std::{sync::Arc, task::Context};

use bytestring::ByteString;
use engineio_server::Frames;
use serde::Serialize;
use socketio_parser::{Nsp, Protocol, RawJson};

use socketio_core::{Listener, poll_caught};

use crate::driver::state::{Call, Connecting, Driver, Space, Waiting};
use crate::{
    error::{DisconnectReason, HandlerError},
    handlers::context,
    handlers::{Erased, Stage, Step, auth::size},
    namespace::registry::Door,
    namespace::{
        Namespace,
        cluster::join_cluster,
        recovery::{Lease, Resume, log::RecoveryLog, socket::Recoverable},
    },
    socket::{Socket, ack::WaitingAck, inner::SocketInner},
};

#[derive(Serialize)]
struct Connected<'a> {
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
}

impl Driver {
    /// Handles a client's request for a namespace.
    pub(super) fn connect(&mut self, nsp: Nsp, auth: Option<RawJson>, cx: &mut Context<'_>) {
        let limit = self.registry.config.max_auth_bytes;
        if size(auth.as_ref()).saturating_add(self.auth_bytes()) > limit {
            let error = format!("auth larger than {limit} bytes");
            return self.refuse_unknown(&nsp, &HandlerError::public(error));
        }
        match self.registry.enter(&nsp) {
            Some(Door::Open(namespace)) => self.enter(namespace, auth, cx),
            None if !self.registry.has_parents() => {
                self.refuse_unknown(&nsp, &HandlerError::public("Invalid namespace"));
            }
            Some(Door::Shut) | None => self.decide(nsp, auth, cx),
        }
    }

    /// Returns the number of bytes of auth data kept for this client.
    fn auth_bytes(&self) -> usize {
        let spaces = self.spaces.iter().map(|it| it.socket.0.auth.as_ref());
        let connecting = self.connecting.iter().map(|it| it.socket.0.auth.as_ref());
        let deciding = self.deciding.iter().map(|it| it.auth.as_ref());
        let restoring = self.restoring.iter().map(|it| it.auth.as_ref());
        spaces.chain(connecting).chain(deciding).chain(restoring).map(size).sum()
    }

    /// Creates the socket of a client that has entered a namespace. Its middlewares decide next.
    pub(super) fn enter(
        &mut self,
        namespace: Namespace,
        auth: Option<RawJson>,
        cx: &mut Context<'_>,
    ) {
        join_cluster(&namespace);
        if namespace.recovery_log().is_some() && self.protocol() == Protocol::V5 {
            return self.restore(namespace, auth, cx);
        }
        match self.insert(&namespace, auth, None) {
            Ok(socket) => self.admit(socket, true, cx),
            Err(_) => self.refuse_without_id(&namespace),
        }
    }

    /// Refuses a client because no id for a socket could be generated.
    pub(super) fn refuse_without_id(&mut self, namespace: &Namespace) {
        self.registry.leave(namespace);
        self.refuse_unknown(namespace.nsp(), &"the generator of ids failed".into());
    }

    /// Starts the namespace's middlewares for a socket. A recovered socket that was accepted before
    /// skips them.
    pub(super) fn admit(&mut self, socket: Socket, trusted: bool, cx: &mut Context<'_>) {
        let namespace = socket.namespace().clone();
        if namespace.0.is_closed() {
            let error = HandlerError::public("Invalid namespace");
            return self.refuse(socket, Stage::Middleware, error, cx);
        }
        let all = namespace.middlewares();
        let log = namespace.recovery_log();
        let skip = trusted && socket.recovered() && log.is_some_and(RecoveryLog::skips_middlewares);
        if skip || all.is_empty() {
            return self.accept(socket, cx);
        }
        let future = Box::pin(middlewares(all, socket.clone()));
        let mut connecting = Connecting { socket, future };
        match poll_caught(&mut connecting.future, cx) {
            Step::Pending => self.connecting.push(connecting),
            step => self.decided(connecting.socket, step, cx),
        }
    }

    /// Makes a new socket a member of the namespace, so that a middleware may make it join rooms.
    /// Broadcasts reach it once it is connected.
    pub(super) fn insert(
        &self,
        namespace: &Namespace,
        auth: Option<RawJson>,
        recoverable: Option<Box<Recoverable>>,
    ) -> std::io::Result<Socket> {
        let client = self.client.clone();
        let id = self.socket_id(namespace.nsp())?;
        let inner = SocketInner::new(id, namespace.clone(), client, auth, recoverable, None);
        let socket = Socket(Arc::new(inner));
        namespace.hub().insert(socket.0.clone());
        Ok(socket)
    }

    fn protocol(&self) -> Protocol {
        self.client.machine().protocol()
    }

    /// Creates the id of a new socket. A client of protocol v4 does not receive one: it uses the
    /// session's id, as Node does.
    fn socket_id(&self, nsp: &Nsp) -> std::io::Result<ByteString> {
        let sid = self.client.handle.sid();
        match self.protocol() {
            Protocol::V5 => engineio_server::generate_sid(),
            Protocol::V4 if nsp.is_root() => Ok(sid.clone()),
            Protocol::V4 => Ok(format!("{nsp}#{sid}").into()),
        }
    }

    /// Polls the middlewares of pending CONNECTs.
    pub(super) fn poll_connecting(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some(connecting) = self.connecting.get_mut(index) {
            match poll_caught(&mut connecting.future, cx) {
                Step::Pending => index += 1,
                step => {
                    let connecting = self.connecting.remove(index);
                    self.decided(connecting.socket, step, cx);
                }
            }
        }
    }

    fn decided(&mut self, socket: Socket, step: Step, cx: &mut Context<'_>) {
        match step {
            Step::Done(_) => self.accept(socket, cx),
            Step::Failed(error) => self.refuse(socket, Stage::Middleware, error, cx),
            Step::Panicked(message) => {
                self.refuse(socket, Stage::Panic, message.into(), cx);
            }
            Step::Pending => {}
        }
    }

    fn accept(&mut self, socket: Socket, cx: &mut Context<'_>) {
        if socket.0.is_disconnected() {
            return self.refuse_disconnected(socket, cx);
        }
        let nsp = socket.nsp().clone();
        let accepted = self.client.machine().accept(&nsp);
        let pid = socket.0.recoverable.as_deref().map(|recoverable| &**recoverable.pid());
        let connected = Connected { sid: socket.id(), pid };
        let parser = self.client.config.parser;
        let connected = parser.encode_connect(self.protocol(), &nsp, &connected);
        let result = match connected {
            Ok(connected) if accepted => self.let_in(&socket, connected),
            _ => Resume::Impossible,
        };
        if result != Resume::Done {
            // The client has left.
            self.client.machine().disconnect(&nsp);
            return self.give_up(&socket, result == Resume::Lost);
        }
        self.counters().connected.one();
        tracing::debug!(target: "socketio::namespace", %nsp, "connected");
        self.connect_deadline = None;
        self.connection.handle().authenticated();
        // Most connections have one namespace.
        self.spaces.reserve_exact(1);
        let space = Space::new(socket.clone());
        self.spaces.push(space);
        let table = socket.namespace().table();
        self.tell_life("connection", &table.connection, &context::Context::of(socket), cx);
    }

    /// Accepts the CONNECT. A client that recovers its session gets the events it missed before the
    /// response.
    fn let_in(&mut self, socket: &Socket, connected: Frames) -> Resume {
        if !socket.0.is_recovered() {
            if !self.control(connected) {
                return Resume::Lost;
            }
            // A task that disconnects the socket from now on leaves a request for the driver, which
            // handles it at its next check.
            socket.0.set_connected();
            return Resume::Done;
        }
        let result = socket.namespace().resume(&socket.0, connected);
        let recoveries = &self.counters().recoveries;
        match result {
            Resume::Done => recoveries.recovered.one(),
            Resume::Impossible => recoveries.not_recovered.one(),
            Resume::Lost => {}
        }
        if result == Resume::Impossible {
            tracing::debug!(target: "socketio::namespace", "missed events are no longer available: closing");
            self.close(true);
        }
        result
    }

    fn refuse(&mut self, socket: Socket, stage: Stage, error: HandlerError, cx: &mut Context<'_>) {
        self.abandon(&socket);
        self.refuse_as(self.protocol(), socket.nsp(), &error);
        if !error.is_public() {
            let call = Call { event: "connect".into(), socket, responder: None };
            self.failed(call, stage, error, cx);
        }
    }

    /// Refuses a CONNECT for which there is no socket. As in Node, a client of protocol v4 gets
    /// this error in the form of v5, and the error of a middleware as a bare message.
    pub(super) fn refuse_unknown(&mut self, nsp: &Nsp, error: &HandlerError) {
        self.refuse_as(Protocol::V5, nsp, error);
    }

    fn refuse_as(&mut self, protocol: Protocol, nsp: &Nsp, error: &HandlerError) {
        if self.client.machine().refuse(nsp) {
            self.send_refusal(protocol, nsp, &error.message_for_peer(), error.data());
        }
    }

    /// Refuses a CONNECT whose middleware disconnected the socket. The client still gets a
    /// response.
    pub(super) fn refuse_disconnected(&mut self, socket: Socket, cx: &mut Context<'_>) {
        let error = HandlerError::public("socket has been disconnected");
        self.refuse(socket, Stage::Middleware, error, cx);
    }

    pub(super) fn refuse_excess(&mut self, nsp: &Nsp) {
        self.send_refusal(Protocol::V5, nsp, "too many namespaces", None);
    }

    fn send_refusal(
        &mut self,
        protocol: Protocol,
        nsp: &Nsp,
        message: &str,
        data: Option<&serde_json::Value>,
    ) {
        self.counters().refused.one();
        tracing::debug!(target: "socketio::namespace", %nsp, message, "refused");
        let parser = self.client.config.parser;
        if let Ok(frames) = parser.encode_connect_error(protocol, nsp, message, &data) {
            self.control(frames);
        }
    }

    /// Handles a client that left a namespace or withdrew its CONNECT.
    pub(super) fn left(&mut self, nsp: &Nsp, cx: &mut Context<'_>) {
        self.deciding.retain(|it| it.nsp != *nsp);
        self.restoring.retain(|it| it.namespace.nsp() != nsp);
        if let Some(at) = self.connecting.iter().position(|it| it.socket.nsp() == nsp) {
            let connecting = self.connecting.remove(at);
            self.abandon(&connecting.socket);
        }
        if let Some(at) = self.spaces.iter().position(|space| space.socket.nsp() == nsp) {
            let space = self.spaces.remove(at);
            self.end(space, DisconnectReason::ClientNamespaceDisconnect, cx);
        }
    }

    /// Ends a socket: starts its disconnection handlers, the first of them while it is still in its
    /// rooms. Events that were never started are dropped.
    pub(super) fn end(&mut self, space: Space, reason: DisconnectReason, cx: &mut Context<'_>) {
        let dropped = space.unstarted();
        let socket = space.socket;
        let keep = reason.is_recoverable();
        if keep {
            socket.0.record_loss();
        }
        socket.0.set_disconnected();
        self.counters().events.dropped.add(dropped);
        self.counters().disconnected.one(reason);
        tracing::debug!(target: "socketio::namespace", nsp = %socket.nsp(), %reason, dropped, "disconnected");
        self.inbox_bytes -= space.inbox.iter().map(Waiting::cost).sum::<usize>();
        // The dropped events may have been the reason why reading was paused.
        self.resume_reading();
        let table = socket.namespace().table();
        let description = self.violation.clone();
        let context = context::Context {
            reason: Some(reason),
            description,
            ..context::Context::of(socket.clone())
        };
        let own = socket.0.look_at_own(|table| table.disconnecting.clone());
        self.tell_life("disconnecting", table.disconnecting.iter().chain(&own), &context, cx);
        let stay = socket.namespace().remove(&socket.0, keep, self.stay(socket.namespace()));
        let own = socket.0.look_at_own(|table| table.disconnect.clone());
        self.tell_life("disconnect", table.disconnect.iter().chain(&own), &context, cx);
        socket.0.close_own();
        drop(stay);
    }

    /// Starts the handlers of a connection or disconnection.
    fn tell_life<'a>(
        &mut self,
        event: &str,
        listeners: impl IntoIterator<Item = &'a Listener<Erased>>,
        context: &context::Context,
        cx: &mut Context<'_>,
    ) {
        for listener in listeners {
            if listener.take() {
                if listener.is_once() {
                    drop(context.socket.namespace().change_with(|table| table.prune(event)));
                }
                self.start(&listener.handler, event, context.clone(), cx);
            }
        }
    }

    /// Removes a socket without running any handler.
    pub(super) fn abandon(&self, socket: &Socket) {
        self.give_up(socket, false);
    }

    /// Removes the socket of a client that left before it was let in. A client that was recovering
    /// its session may try again.
    pub(super) fn give_up(&self, socket: &Socket, keep: bool) {
        socket.0.set_disconnected();
        let keep = keep && socket.recovered();
        let stay = socket.namespace().remove(&socket.0, keep, self.stay(socket.namespace()));
        socket.0.close_own();
        drop(stay);
    }

    /// Returns the socket's stay in its namespace. When the stay is dropped, the client has left
    /// the namespace.
    pub(super) fn stay(&self, namespace: &Namespace) -> Lease {
        if namespace.0.child.get().is_none() {
            return Lease::default();
        }
        let (registry, namespace) = (Arc::downgrade(&self.registry), Arc::downgrade(&namespace.0));
        Lease::new(move || {
            if let Some((registry, namespace)) = registry.upgrade().zip(namespace.upgrade()) {
                registry.leave(&Namespace(namespace));
            }
        })
    }
}

/// Runs the middlewares one after another.
async fn middlewares(all: Vec<Erased>, socket: Socket) -> Result<Option<WaitingAck>, HandlerError> {
    for middleware in all {
        let result = match middleware(context::Context::of(socket.clone())) {
            Ok(future) => future.await,
            Err(error) => Err(error),
        };
        // An error's message is user code, so it is formatted here, where a panic is caught.
        let public = &socket.0.client.config.public_errors;
        result.map_err(|error| error.resolved(public).formatted())?;
    }
    Ok(None)
}
