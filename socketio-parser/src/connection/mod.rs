//! The Socket.IO connection: one state machine for both roles and both protocols. It does no I/O
//! and reads no clock.
//!
//! The code that drives it (the shell) runs this loop:
//! 1. Pass every message of the Engine.IO session to [`Connection::handle_data`]. An error closes
//!    the session.
//! 2. Call [`Connection::poll_output`] until it returns `None`, after every call that may have
//!    produced output.
//! 3. Sleep until [`Connection::poll_timeout`], then call [`Connection::handle_timeout`] and go to
//!    2.
//! 4. When the session has ended, call [`Connection::close`] and poll the outputs once more.
//!
//! The state machine sends nothing. The shell sends the packets that the `encode_*` functions
//! return, and reports the changes of state: [`accept`](Connection::accept) or
//! [`refuse`](Connection::refuse) with the response to a CONNECT, [`connect`](Connection::connect)
//! with a CONNECT, [`disconnect`](Connection::disconnect) with a DISCONNECT, and
//! [`expect_ack`](Connection::expect_ack) *before* an event that requests an ack.

mod acks;
mod namespaces;
mod output;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engineio_parser::PacketData;

pub use self::output::Output;
use self::{
    acks::Acks,
    namespaces::{Namespaces, State},
    output::Outputs,
};
use crate::{
    decoder::Decoder,
    encoder::Parser,
    error::{AckRefused, Violation},
    limits::Limits,
    nsp::Nsp,
    packet::{AckId, Content, Packet, Protocol, RawJson},
};

/// The namespaces and awaited acks of one connection. `W` is the shell's value for an awaited ack.
///
/// ```
/// use std::time::{Duration, Instant};
/// use engineio_parser::PacketData;
/// use socketio_parser::{Connection, Limits, Nsp, Output, Protocol};
///
/// let now = Instant::now();
/// let mut server = Connection::<&str>::server(Protocol::V5, Limits::default());
/// server.handle_data(now, PacketData::Text("0".into()))?;
/// let Some(Output::ConnectRequested { nsp, auth: None }) = server.poll_output() else { panic!() };
/// assert!(server.accept(&nsp)); // and send `encode_connect(..)`
///
/// server.expect_ack(now, &nsp, 0.into(), Duration::from_secs(5), "waiter").unwrap(); // and send the event
/// server.handle_data(now, PacketData::Text("30[1]".into()))?;
/// assert!(matches!(server.poll_output(), Some(Output::Acked { waiter: "waiter", .. })));
/// # Ok::<(), socketio_parser::Violation>(())
/// ```
#[derive(Debug)]
pub struct Connection<W> {
    role: Role,
    protocol: Protocol,
    limits: Arc<Limits>,
    decoder: Decoder,
    /// The deadline of an incomplete packet, if there is one.
    unfinished_until: Option<Instant>,
    namespaces: Namespaces,
    acks: Acks<W>,
    outputs: Outputs<W>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

impl<W: 'static> Connection<W> {
    /// Creates the server's side of a connection. Connections may share their limits as an `Arc`.
    ///
    /// A client of protocol v4 is in `/` from the start, so [`Output::ConnectRequested`] for it is
    /// available at once.
    pub fn server(protocol: Protocol, limits: impl Into<Arc<Limits>>) -> Self {
        let mut connection = Self::new(Role::Server, protocol, limits.into());
        if protocol == Protocol::V4 {
            connection.request(Nsp::root(), None);
        }
        connection
    }

    /// Creates the client's side of a connection.
    pub fn client(protocol: Protocol, limits: impl Into<Arc<Limits>>) -> Self {
        Self::new(Role::Client, protocol, limits.into())
    }

    fn new(role: Role, protocol: Protocol, limits: Arc<Limits>) -> Self {
        Self {
            role,
            protocol,
            decoder: Decoder::with_limits(limits.clone()),
            limits,
            unfinished_until: None,
            namespaces: Namespaces::default(),
            acks: Acks::default(),
            outputs: Outputs::default(),
        }
    }

    /// Sets the encoding of the peer's packets (default JSON).
    #[must_use]
    pub fn with_parser(mut self, parser: Parser) -> Self {
        self.decoder = self.decoder.with_parser(parser);
        self
    }

    /// Returns the protocol of the peer.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Handles one message of the Engine.IO session.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer breaks the protocol or exceeds a limit. The session must then
    /// be closed.
    pub fn handle_data(&mut self, now: Instant, data: PacketData) -> Result<(), Violation> {
        self.handle_data_at(|| now, data)
    }

    /// Handles one message like [`handle_data`](Self::handle_data). The time is only read for a
    /// packet that is incomplete.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`handle_data`](Self::handle_data).
    pub fn handle_data_at(
        &mut self,
        now: impl FnOnce() -> Instant,
        data: PacketData,
    ) -> Result<(), Violation> {
        if let Some(event) = self.receive(now, data)? {
            self.outputs.push(event);
        }
        Ok(())
    }

    /// Handles one message like [`handle_data_at`](Self::handle_data_at), and returns the next
    /// output. This is faster than [`poll_output`](Self::poll_output) if the message is an event
    /// and there are no earlier outputs.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`handle_data`](Self::handle_data).
    pub fn poll_data_at(
        &mut self,
        now: impl FnOnce() -> Instant,
        data: PacketData,
    ) -> Result<Option<Output<W>>, Violation> {
        let event = self.receive(now, data)?;
        Ok(self.next_output(event))
    }

    /// Handles a complete packet that was decoded elsewhere, and returns the next output.
    ///
    /// # Errors
    ///
    /// Returns an error if the state of the namespace does not allow the packet. The session must
    /// then be closed.
    #[doc(hidden)]
    pub fn poll_packet(&mut self, packet: Packet) -> Result<Option<Output<W>>, Violation> {
        let event = self.handle_packet(packet)?;
        Ok(self.next_output(event))
    }

    /// Returns the next output. `event` comes after the queued ones.
    fn next_output(&mut self, event: Option<Output<W>>) -> Option<Output<W>> {
        match event {
            Some(event) if self.outputs.is_empty() => return Some(event),
            Some(event) => self.outputs.push(event),
            None => {}
        }
        self.outputs.pop()
    }

    /// Handles one message. Returns the output of an event, which comes after the queued outputs.
    fn receive(
        &mut self,
        now: impl FnOnce() -> Instant,
        data: PacketData,
    ) -> Result<Option<Output<W>>, Violation> {
        let packet = match data {
            PacketData::Text(text) => self.decoder.decode_text(text)?,
            PacketData::Binary(bytes) => self.decoder.decode_binary(bytes)?,
        };
        match packet {
            Some(packet) => {
                self.unfinished_until = None;
                self.handle_packet(packet)
            }
            None => {
                let limit = self.limits.unfinished_timeout;
                self.unfinished_until = self.unfinished_until.or_else(|| now().checked_add(limit));
                Ok(None)
            }
        }
    }

    /// Reports the acks that did not arrive in time.
    ///
    /// # Errors
    ///
    /// Returns an error if the attachments of a packet did not arrive in time. The session must
    /// then be closed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Violation> {
        while let Some(waiter) = self.acks.pop_expired(now) {
            self.outputs.push(Output::AckTimedOut { waiter });
        }
        if self.unfinished_until.is_some_and(|deadline| deadline <= now) {
            self.unfinished_until = None;
            self.decoder.reset();
            return Err(Violation::UnfinishedTimeout);
        }
        Ok(())
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) next. It may also be called at
    /// any other time.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.unfinished_until.into_iter().chain(self.acks.next_deadline()).min()
    }

    /// Returns the bytes of the packet whose attachments have not all arrived.
    pub fn unfinished_bytes(&self) -> usize {
        self.decoder.unfinished_bytes()
    }

    /// Returns whether [`poll_output`](Self::poll_output) would return an output.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Returns the next output, oldest first.
    pub fn poll_output(&mut self) -> Option<Output<W>> {
        self.outputs.pop()
    }

    /// Server: accepts a CONNECT. Returns `false` if the client has left in the meantime. The shell
    /// must then send nothing.
    pub fn accept(&mut self, nsp: &Nsp) -> bool {
        self.role == Role::Server && self.namespaces.confirm(nsp)
    }

    /// Server: refuses a CONNECT. Returns `false` if the client has left in the meantime. The shell
    /// must then send nothing.
    pub fn refuse(&mut self, nsp: &Nsp) -> bool {
        let pending =
            self.role == Role::Server && self.namespaces.state(nsp) == Some(State::Pending);
        pending && self.leave(nsp)
    }

    /// Client: requests a namespace. Returns `false` if it is already connected or requested. The
    /// shell must then send nothing.
    ///
    /// The number of namespaces is not limited here, because the client itself chooses them.
    pub fn connect(&mut self, nsp: &Nsp) -> bool {
        self.role == Role::Client && self.namespaces.request(nsp)
    }

    /// Leaves a namespace, and fails its awaited acks. Returns `false` if the namespace is neither
    /// connected nor requested. The shell must then send nothing.
    ///
    /// Packets that the peer sends before it learns of this are ignored. (Node closes the whole
    /// connection over them.)
    pub fn disconnect(&mut self, nsp: &Nsp) -> bool {
        if self.role == Role::Server {
            self.namespaces.expect_stragglers(nsp, self.limits.max_namespaces);
        }
        self.leave(nsp)
    }

    /// Returns whether a namespace is connected: requested and accepted.
    pub fn is_connected(&self, nsp: &Nsp) -> bool {
        self.namespaces.state(nsp) == Some(State::Connected)
    }

    /// Returns the connected namespaces.
    pub fn connected(&self) -> impl Iterator<Item = &Nsp> {
        self.namespaces.iter().filter(|(_, state)| *state == State::Connected).map(|(nsp, _)| nsp)
    }

    /// Ends the connection. Every awaited ack fails, and all namespaces are removed, without an
    /// [`Output::Disconnected`].
    pub fn close(&mut self) {
        self.decoder.reset();
        self.unfinished_until = None;
        self.namespaces = Namespaces::default();
        for waiter in self.acks.take_all() {
            self.outputs.push(Output::AckFailed { waiter });
        }
    }

    /// Registers the ack of an event that is about to be sent. Exactly one of [`Output::Acked`],
    /// [`Output::AckTimedOut`] and [`Output::AckFailed`] returns the waiter, unless
    /// [`forget_ack`](Self::forget_ack) does.
    ///
    /// A client may register acks in a namespace that the server has not accepted yet.
    ///
    /// # Errors
    ///
    /// Returns an error, with the waiter, if too many acks are awaited, the namespace is not
    /// connected, or an ack with this id is already awaited.
    pub fn expect_ack(
        &mut self,
        now: Instant,
        nsp: &Nsp,
        id: AckId,
        timeout: Duration,
        waiter: W,
    ) -> Result<(), (AckRefused, W)> {
        let Some(session) = self.namespaces.session(nsp) else {
            return Err((AckRefused::NotConnected, waiter));
        };
        if self.acks.len() >= self.limits.max_pending_acks {
            return Err((AckRefused::TooMany, waiter));
        }
        self.acks.insert(session, id, now, timeout, waiter)
    }

    /// Stops waiting for an ack.
    pub fn forget_ack(&mut self, nsp: &Nsp, id: AckId) -> Option<W> {
        self.acks.remove(self.namespaces.session(nsp)?, id)
    }

    /// Returns the number of awaited acks.
    pub fn pending_acks(&self) -> usize {
        self.acks.len()
    }

    fn handle_packet(&mut self, packet: Packet) -> Result<Option<Output<W>>, Violation> {
        let Packet { mut nsp, content } = packet;
        let mut query = None;
        if self.protocol == Protocol::V4 && nsp.as_str().contains('?') {
            let (name, rest) = nsp.split_query();
            query = rest.map(query_json);
            nsp = name;
        }
        match self.role {
            Role::Server => self.handle_as_server(nsp, query, content),
            Role::Client => Ok(self.handle_as_client(nsp, content)),
        }
    }

    fn handle_as_server(
        &mut self,
        nsp: Nsp,
        query: Option<RawJson>,
        content: Content,
    ) -> Result<Option<Output<W>>, Violation> {
        let kind = content.packet_type();
        let state = self.namespaces.state(&nsp);
        let connected = state == Some(State::Connected);
        match content {
            Content::Event { id, args } if connected => {
                return Ok(Some(Output::Event { nsp, id, args }));
            }
            Content::Ack { id, args } if connected => self.resolve(nsp, id, args),
            Content::Event { .. } | Content::Ack { .. }
                if state.is_none() && self.namespaces.is_straggler(&nsp) => {}
            Content::Connect(payload) if state.is_none() => {
                let auth = if self.protocol == Protocol::V4 { query } else { payload };
                self.request(nsp, auth);
            }
            // The client left before the response, so the shell must drop the request.
            Content::Disconnect if state.is_some() => {
                self.leave(&nsp);
                self.outputs.push(Output::Disconnected { nsp });
            }
            Content::Disconnect => {}
            _ => return Err(Violation::InvalidState(kind)),
        }
        Ok(None)
    }

    /// Handles a packet from a server. A packet that does not fit the state is ignored, as in Node.
    fn handle_as_client(&mut self, nsp: Nsp, content: Content) -> Option<Output<W>> {
        let state = self.namespaces.state(&nsp)?;
        match content {
            Content::Connect(payload) => {
                self.namespaces.confirm(&nsp);
                self.outputs.push(Output::Connected { nsp, payload });
            }
            Content::ConnectError(error) if state == State::Pending => {
                self.leave(&nsp);
                self.outputs.push(Output::Refused { nsp, error });
            }
            Content::ConnectError(_) => {}
            Content::Disconnect => {
                self.leave(&nsp);
                self.outputs.push(Output::Disconnected { nsp });
            }
            // Accepted even before the response to CONNECT, because recovered events come first.
            Content::Event { id, args } => return Some(Output::Event { nsp, id, args }),
            Content::Ack { id, args } => self.resolve(nsp, id, args),
        }
        None
    }

    fn request(&mut self, nsp: Nsp, auth: Option<RawJson>) {
        if self.namespaces.len() >= self.limits.max_namespaces {
            self.outputs.push(Output::TooManyNamespaces { nsp });
        } else if self.namespaces.request(&nsp) {
            self.outputs.push(Output::ConnectRequested { nsp, auth });
        }
    }

    fn resolve(&mut self, nsp: Nsp, id: Option<AckId>, args: crate::Args) {
        let waiter = id
            .zip(self.namespaces.session(&nsp))
            .and_then(|(id, session)| self.acks.remove(session, id).map(|waiter| (id, waiter)));
        if let Some((id, waiter)) = waiter {
            self.outputs.push(Output::Acked { nsp, id, waiter, args });
        }
    }

    /// Removes a namespace, and fails its awaited acks.
    fn leave(&mut self, nsp: &Nsp) -> bool {
        let Some(session) = self.namespaces.remove(nsp) else {
            return false;
        };
        for waiter in self.acks.take_session(session) {
            self.outputs.push(Output::AckFailed { waiter });
        }
        true
    }
}

/// Converts a query to the object that Node makes of it. The last value of a repeated key is used.
fn query_json(query: &str) -> RawJson {
    let mut object = serde_json::Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        object.insert(percent_decode(key), percent_decode(value).into());
    }
    RawJson::from_validated(serde_json::Value::from(object).to_string().into())
}

/// Decodes like a form: `+` is a space. Malformed escapes are kept as they are.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let hex = |index: usize| char::from(*after.get(index)?).to_digit(16);
        match (first, hex(0).zip(hex(1))) {
            (b'%', Some((high, low))) => {
                bytes.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
