//! The namespaces of a connection: joining, leaving, and the responses of the server.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Map, Value};
use socketio_parser::{Args, Nsp, Output, Protocol, RawJson};

use super::{
    link::Loss,
    state::{Driver, Item, Phase},
    timer::after,
};
use crate::{
    config::Auth,
    engine::Order,
    error::{AckError, ConnectError, DisconnectReason},
    reconnect::{Backoff, random},
    request::Request,
};

/// How long the client waits after DISCONNECT before it joins the namespace again. Node's server
/// closes the connection if both packets arrive at once.
const REJOIN: Duration = Duration::from_millis(100);

/// The payload of the server's CONNECT.
#[derive(Deserialize)]
struct Granted {
    sid: String,
    #[serde(default)]
    pid: Option<String>,
}

/// The payload of the server's CONNECT_ERROR.
#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

impl Driver {
    /// Handles the outputs of the protocol state machine.
    pub(super) fn outputs(&mut self, cx: &mut Context<'_>) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Event { nsp, id, args } => {
                    if let Some(index) = self.find(&nsp).filter(|index| !self.is_leaving(*index)) {
                        let epoch = self.members.get(index).map_or(0, |it| it.epoch);
                        self.note_offset(index, &args);
                        let event = Item::Event { id, args, epoch };
                        if self.is_free(index) {
                            self.dispatch(index, event, cx);
                        } else {
                            self.enqueue(index, event);
                            self.start_waiting(cx);
                        }
                    }
                }
                Output::Acked { waiter, args, .. } => self.deliver_ack(waiter, Ok(args)),
                Output::AckTimedOut { waiter } => self.deliver_ack(waiter, Err(AckError::Timeout)),
                Output::AckFailed { waiter } => {
                    self.deliver_ack(waiter, Err(AckError::Disconnected))
                }
                Output::Connected { nsp, payload } => self.on_granted(&nsp, payload.as_ref(), cx),
                Output::Refused { nsp, error } => self.on_refused(&nsp, &error),
                Output::Disconnected { nsp } => self.on_disconnected(&nsp),
                _ => {}
            }
        }
    }

    /// Starts joining a namespace.
    pub(super) fn join(&mut self, index: usize) {
        let deadline = self.connect_deadline();
        let Some(member) = self.members.get_mut(index) else { return };
        member.epoch += 1;
        {
            let mut state = member.slot.state();
            state.epoch = member.epoch;
            // No earlier connection is left to end.
            state.outbox.reopen();
        }
        match member.slot.config.auth.clone() {
            Auth::Value(auth) => self.send_connect(index, &auth),
            Auth::Function(ask) => match catch_unwind(AssertUnwindSafe(|| ask())) {
                Ok(future) => member.phase = Phase::AwaitingAuth { future, deadline },
                Err(_) => self.auth_failed(index, "the function panicked".into()),
            },
        }
    }

    /// Polls the functions that provide `auth`.
    pub(super) fn poll_auth(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = false;
        for index in 0..self.members.len() {
            let Some(member) = self.members.get_mut(index) else { continue };
            let Phase::AwaitingAuth { future, .. } = &mut member.phase else { continue };
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(Ok(auth))) => self.send_connect(index, &auth),
                Ok(Poll::Ready(Err(error))) => self.auth_failed(index, error.to_string()),
                Err(_) => self.auth_failed(index, "the function panicked".into()),
            }
            progressed = true;
        }
        progressed
    }

    fn send_connect(&mut self, index: usize, auth: &Value) {
        let Some(member) = self.members.get(index) else { return };
        let nsp = member.slot.nsp.clone();
        let mut payload = Map::new();
        if let Some(pid) = &member.pid {
            payload.insert("pid".into(), pid.as_str().into());
            if let Some(offset) = &member.offset {
                payload.insert("offset".into(), offset.as_str().into());
            }
        }
        let payload = match auth {
            Value::Null if payload.is_empty() => Value::Null,
            Value::Null => payload.into(),
            Value::Object(auth) => {
                payload.extend(auth.clone());
                payload.into()
            }
            other => other.clone(),
        };
        match self.shared.config.parser.encode_connect(Protocol::V5, &nsp, &payload) {
            Ok(frames) => {
                let deadline = self.connect_deadline();
                self.set_phase(index, Phase::Requested { deadline });
                self.machine.connect(&nsp);
                self.send_control(frames, Order::InOrder);
            }
            Err(error) => self.auth_failed(index, error.to_string()),
        }
    }

    /// Handles a failure to get `auth`. The client calls the function again later.
    fn auth_failed(&mut self, index: usize, message: String) {
        let policy = self.shared.state().reconnection.clone();
        let delay = Backoff::default().next(&policy.clone().attempts(1), random());
        match delay.filter(|_| policy.is_enabled()) {
            Some(delay) => self.set_phase(index, Phase::Delayed { until: after(delay) }),
            None => self.deactivate(index),
        }
        self.connect_error(index, ConnectError::Auth(message));
        self.close_if_idle(None);
    }

    /// Handles the server's CONNECT.
    fn on_granted(&mut self, nsp: &Nsp, payload: Option<&RawJson>, cx: &mut Context<'_>) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.withdraw(index);
        }
        let granted = payload.and_then(|payload| payload.decode::<Granted>().ok());
        let Some(Granted { sid, pid }) = granted else {
            self.machine.disconnect(nsp);
            self.deactivate(index);
            self.connect_error(index, ConnectError::Unsupported);
            return self.close_if_idle(None);
        };
        // The manager was closed meanwhile. The next round handles that.
        if self.shared.state().request.is_closing() {
            return;
        }
        let Some(member) = self.members.get_mut(index) else { return };
        let again = matches!(member.phase, Phase::Joined);
        let recovered = pid.is_some() && pid == member.pid;
        if !recovered {
            member.offset = None;
        }
        member.pid = pid;
        let waiting = {
            let mut state = member.slot.state();
            if state.request.is_closing() {
                // The socket was disconnected meanwhile. The next round handles that.
                return;
            }
            state.id = Some(sid.into());
            state.recovered = recovered;
            std::mem::take(&mut state.connecting)
        };
        member.phase = Phase::Joined;
        self.changes.packets = true;
        let early_events = std::mem::take(&mut member.early_events);
        member.inbox.extend(early_events);
        self.start_waiting(cx);
        self.flush();
        for waiting in waiting {
            let _ = waiting.send(Ok(()));
        }
        if !again {
            self.enqueue(index, Item::Connect);
            self.start_waiting(cx);
        }
    }

    /// Handles the server's CONNECT_ERROR.
    fn on_refused(&mut self, nsp: &Nsp, error: &RawJson) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.set_phase(index, Phase::NotJoined);
        }
        let Refusal { message, data } = match error.decode() {
            Ok(refusal) => refusal,
            Err(_) => Refusal { message: error.decode().unwrap_or_default(), data: None },
        };
        self.deactivate(index);
        self.connect_error(index, ConnectError::Refused { message, data });
        self.close_if_idle(None);
    }

    /// Handles the server's DISCONNECT.
    fn on_disconnected(&mut self, nsp: &Nsp) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.set_phase(index, Phase::NotJoined);
        }
        self.deactivate(index);
        self.disconnected(index, DisconnectReason::IoServerDisconnect, None);
        self.close_if_idle(None);
    }

    /// Leaves a namespace at the user's request. Packets queued by then are sent first.
    pub(super) fn leave(&mut self, index: usize) {
        let Some(member) = self.members.get_mut(index) else { return };
        let nsp = member.slot.nsp.clone();
        for items in [&mut member.early_events, &mut member.inbox] {
            items.iter().filter(|it| it.is_event()).for_each(|it| self.inbox.remove(it));
            items.retain(|it| !it.is_event());
        }
        let was_joined = matches!(member.phase, Phase::Joined);
        self.send_remaining(index);
        let alone = (0..self.members.len()).all(|other| other == index || !self.is_active(other));
        let undecided = match self.members.get(index).map(|member| &member.phase) {
            Some(Phase::Requested { deadline } | Phase::Leaving { deadline })
                if !self.machine.is_connected(&nsp) =>
            {
                Some(*deadline)
            }
            _ => None,
        };
        match undecided.filter(|_| !alone) {
            Some(deadline) => self.set_phase(index, Phase::Leaving { deadline }),
            None => self.withdraw(index),
        }
        self.fail_acks(None);
        if was_joined {
            self.report_disconnect(index, DisconnectReason::IoClientDisconnect, None);
        }
        self.close_if_idle(Some(index));
    }

    /// Sends DISCONNECT if the namespace is requested or granted.
    fn withdraw(&mut self, index: usize) {
        self.changes.requests = true;
        let Some(member) = self.members.get_mut(index) else { return };
        let nsp = member.slot.nsp.clone();
        let disconnecting = self.machine.disconnect(&nsp);
        if disconnecting {
            member.phase = Phase::Delayed { until: after(REJOIN) };
        } else if !matches!(member.phase, Phase::Delayed { .. }) {
            member.phase = Phase::NotJoined;
        }
        if disconnecting {
            let timeout = self.shared.config.close_timeout / 2;
            self.send_control(
                self.shared.config.parser.encode_disconnect(&nsp),
                Order::AfterConfirmation(timeout),
            );
        }
    }

    /// Fails the pending acks after a namespace or the connection was left. No other outputs
    /// remain. `exceeded` is the message size limit that the server exceeded.
    fn fail_acks(&mut self, exceeded: Option<usize>) {
        while let Some(output) = self.machine.poll_output() {
            if let Output::AckFailed { waiter } = output {
                let error = match exceeded {
                    Some(limit) => AckError::TooLarge { limit },
                    None => AckError::Disconnected,
                };
                self.deliver_ack(waiter, Err(error));
            }
        }
    }

    /// Ends all namespaces after the end of the connection. The namespace with index `left` has
    /// been handled before.
    pub(super) fn end_namespaces(&mut self, loss: &Loss, left: Option<usize>) {
        self.machine.close();
        self.fail_acks(loss.exceeded);
        let description: Option<Arc<str>> = loss.description.as_deref().map(Arc::from);
        for index in 0..self.members.len() {
            let request = self.members.get(index).map(|it| it.slot.state().request);
            if left != Some(index) && request == Some(Request::Open) {
                self.disconnected(index, loss.reason, description.clone());
                continue;
            }
            // Its user has disconnected it, and the next round would have handled that.
            let was_joined =
                self.members.get(index).is_some_and(|it| matches!(it.phase, Phase::Joined));
            self.set_phase(index, Phase::NotJoined);
            if was_joined {
                self.report_disconnect(index, DisconnectReason::IoClientDisconnect, None);
            }
        }
    }

    /// Handles namespaces whose deadline has passed.
    pub(super) fn expire_namespaces(&mut self, now: Instant) {
        for index in 0..self.members.len() {
            let Some(member) = self.members.get(index) else { continue };
            if member.phase.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            if matches!(member.phase, Phase::Delayed { .. }) {
                let until = self.last_disconnect_at(now).map_or(now, |left| left + REJOIN);
                let later = Phase::Delayed { until };
                self.set_phase(index, if until > now { later } else { Phase::NotJoined });
                continue;
            }
            let leaving = self.is_leaving(index);
            self.withdraw(index);
            if leaving {
                continue;
            }
            // Try again, unless reconnection is off.
            if !self.shared.state().reconnection.is_enabled() {
                self.deactivate(index);
            }
            self.connect_error(index, ConnectError::Timeout);
            self.close_if_idle(None);
        }
    }

    /// Reports that a socket is not connected to the callers of `connect` and to the handlers.
    pub(super) fn connect_error(&mut self, index: usize, error: ConnectError) {
        self.fail_connecting(index, &error);
        // While the inbox is full, repeated errors are dropped.
        if !self.inbox.is_exceeded() {
            self.enqueue(index, Item::ConnectError(error));
        }
    }

    /// Fails the callers of `connect`.
    fn fail_connecting(&mut self, index: usize, error: &ConnectError) {
        let Some(member) = self.members.get(index) else { return };
        let waiting = std::mem::take(&mut member.slot.state().connecting);
        for waiting in waiting {
            let _ = waiting.send(Err(error.clone()));
        }
    }

    fn disconnected(
        &mut self,
        index: usize,
        reason: DisconnectReason,
        description: Option<Arc<str>>,
    ) {
        self.set_phase(index, Phase::NotJoined);
        self.report_disconnect(index, reason, description);
    }

    fn report_disconnect(
        &mut self,
        index: usize,
        reason: DisconnectReason,
        description: Option<Arc<str>>,
    ) {
        if let Some(member) = self.members.get(index) {
            member.slot.state().id = None;
        }
        // `disconnect` and `close` have failed the callers that waited then. Callers since then
        // wait for the next connection.
        let by_user = [DisconnectReason::IoClientDisconnect, DisconnectReason::ForcedClose];
        if !by_user.contains(&reason) {
            self.fail_connecting(index, &ConnectError::Closed(reason));
        }
        self.enqueue(index, Item::Disconnect { reason, description });
    }

    /// Closes the connection if it has no active socket. As in Node, it closes with the last socket
    /// that has `left`, and opens again if that socket is to connect again.
    fn close_if_idle(&mut self, left: Option<usize>) {
        let idle = {
            // A socket becomes active before it requests the connection, so both are read under the
            // lock.
            let mut state = self.shared.state();
            let active = |index| self.is_active(index);
            let idle = !(0..self.members.len()).any(|index| left != Some(index) && active(index));
            if idle && !left.is_some_and(active) {
                state.request.withdraw();
            }
            idle
        };
        if idle {
            self.close_connection(DisconnectReason::ForcedClose, left);
        }
    }

    fn is_leaving(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|it| matches!(it.phase, Phase::Leaving { .. }))
    }

    pub(super) fn is_active(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| member.slot.state().request.is_open())
    }

    /// Marks the socket as inactive: it connects again only at the user's request.
    pub(super) fn deactivate(&mut self, index: usize) {
        self.set_phase(index, Phase::NotJoined);
        if let Some(member) = self.members.get(index) {
            let mut state = member.slot.state();
            state.request.withdraw();
            state.id = None;
        }
    }

    fn set_phase(&mut self, index: usize, phase: Phase) {
        self.changes.requests = true;
        if let Some(member) = self.members.get_mut(index) {
            member.phase = phase;
        }
    }

    pub(super) fn find(&self, nsp: &Nsp) -> Option<usize> {
        self.members.iter().position(|member| member.slot.nsp == *nsp)
    }

    fn enqueue(&mut self, index: usize, item: Item) {
        let Some(member) = self.members.get_mut(index) else { return };
        self.inbox.add(&item);
        let hold = item.is_event() && !matches!(member.phase, Phase::Joined);
        if hold {
            member.early_events.push_back(item)
        } else {
            member.inbox.push_back(item)
        }
        if self.inbox.is_exceeded() {
            // Missed events may exceed the limit before CONNECT arrives. Hand them to the inbox,
            // because reading must continue until CONNECT.
            for member in &mut self.members {
                member.inbox.append(&mut member.early_events);
            }
        }
        self.set_reading();
    }

    /// Records the offset of an event, which is its last argument if the session can be recovered.
    fn note_offset(&mut self, index: usize, args: &Args) {
        let member = self.members.get_mut(index).filter(|member| member.pid.is_some());
        let Some(member) = member else { return };
        let last = args.iter().last().filter(|last| last.starts_with('"'));
        if let Some(offset) = last.and_then(|last| serde_json::from_str(last).ok()) {
            member.offset = Some(offset);
        }
    }
}
