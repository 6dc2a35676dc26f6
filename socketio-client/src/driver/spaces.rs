//! The namespaces of the connection: asked for, granted, refused, left.

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
    state::{Driver, Item, Phase},
    timer::after,
};
use crate::{
    config::Auth,
    engine::Order,
    error::{AckError, ConnectError, DisconnectReason},
    reconnect::{Backoff, random},
};

/// How long after DISCONNECT a namespace is not asked for again. Node's server closes the connection where both arrive at
/// once.
const REJOIN: Duration = Duration::from_millis(100);

/// What the server says when it grants a namespace.
#[derive(Deserialize)]
struct Granted {
    sid: String,
    #[serde(default)]
    pid: Option<String>,
}

/// What it says when it refuses one.
#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

impl Driver {
    /// What the machine has to tell.
    pub(super) fn outputs(&mut self, cx: &mut Context<'_>) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Event { nsp, id, args } => {
                    if let Some(index) = self.find(&nsp).filter(|index| !self.is_leaving(*index)) {
                        let stay = self.members.get(index).map_or(0, |it| it.stay);
                        self.note_offset(index, &args);
                        let event = Item::Event { id, args, stay };
                        if self.is_free(index) {
                            self.dispatch(index, event, cx);
                        } else {
                            self.enqueue(index, event);
                            self.start_waiting(cx);
                        }
                    }
                }
                Output::Acked { waiter, args, .. } => self.answer(waiter, Ok(args)),
                Output::AckTimedOut { waiter } => self.answer(waiter, Err(AckError::Timeout)),
                Output::AckFailed { waiter } => self.answer(waiter, Err(AckError::Disconnected)),
                Output::Connected { nsp, payload } => self.granted(&nsp, payload.as_ref(), cx),
                Output::Refused { nsp, error } => self.refused(&nsp, &error),
                Output::Disconnected { nsp } => self.left(&nsp),
                _ => {}
            }
        }
    }

    /// Asks for a namespace.
    pub(super) fn join(&mut self, index: usize) {
        let deadline = self.connect_deadline();
        let Some(member) = self.members.get_mut(index) else { return };
        member.stay += 1;
        member.space.state().stay = member.stay;
        match member.space.config.auth.clone() {
            Auth::Value(auth) => self.send_connect(index, &auth),
            Auth::Asked(ask) => match catch_unwind(AssertUnwindSafe(|| ask())) {
                Ok(future) => member.phase = Phase::Asking { future, deadline },
                Err(_) => self.no_auth(index, "the function panicked".into()),
            },
        }
    }

    /// Lets the functions go on that are asked for `auth`.
    pub(super) fn poll_auth(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        for index in 0..self.members.len() {
            let Some(member) = self.members.get_mut(index) else { continue };
            let Phase::Asking { future, .. } = &mut member.phase else { continue };
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(Ok(auth))) => self.send_connect(index, &auth),
                Ok(Poll::Ready(Err(error))) => self.no_auth(index, error.to_string()),
                Err(_) => self.no_auth(index, "the function panicked".into()),
            }
            moved = true;
        }
        moved
    }

    fn send_connect(&mut self, index: usize, auth: &Value) {
        let Some(member) = self.members.get(index) else { return };
        let nsp = member.space.nsp.clone();
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
                self.set_phase(index, Phase::Asked { deadline });
                self.machine.connect(&nsp);
                self.control(frames, Order::Behind);
            }
            Err(error) => self.no_auth(index, error.to_string()),
        }
    }

    /// There is no `auth`: it is asked for again later.
    fn no_auth(&mut self, index: usize, message: String) {
        let policy = self.shared.state().reconnection.clone();
        let delay = Backoff::default().next(&policy.clone().attempts(1), random());
        match delay.filter(|_| policy.is_enabled()) {
            Some(delay) => self.set_phase(index, Phase::Later { until: after(delay) }),
            None => self.deactivate(index),
        }
        self.connect_error(index, ConnectError::Auth(message));
        self.shut_if_idle(None);
    }

    /// The server has granted a namespace.
    fn granted(&mut self, nsp: &Nsp, payload: Option<&RawJson>, cx: &mut Context<'_>) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.withdraw(index);
        }
        let granted = payload.and_then(|payload| payload.decode::<Granted>().ok());
        let Some(Granted { sid, pid }) = granted else {
            self.machine.disconnect(nsp);
            self.deactivate(index);
            self.connect_error(index, ConnectError::Unsupported);
            return self.shut_if_idle(None);
        };
        // It was closed meanwhile: that is looked at next.
        if self.shared.state().close {
            return;
        }
        let Some(member) = self.members.get_mut(index) else { return };
        let again = matches!(member.phase, Phase::In);
        let recovered = pid.is_some() && pid == member.pid;
        if !recovered {
            member.offset = None;
        }
        member.pid = pid;
        let waiting = {
            let mut state = member.space.state();
            if state.leave {
                // It was disconnected meanwhile: that is looked at next.
                return;
            }
            state.id = Some(sid.into());
            state.recovered = recovered;
            std::mem::take(&mut state.connecting)
        };
        member.phase = Phase::In;
        self.unsent = true;
        let held = std::mem::take(&mut member.held);
        member.inbox.extend(held);
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

    /// The server refuses a namespace.
    fn refused(&mut self, nsp: &Nsp, error: &RawJson) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.set_phase(index, Phase::Out);
        }
        let Refusal { message, data } = match error.decode() {
            Ok(refusal) => refusal,
            Err(_) => Refusal { message: error.decode().unwrap_or_default(), data: None },
        };
        self.deactivate(index);
        self.connect_error(index, ConnectError::Refused { message, data });
        self.shut_if_idle(None);
    }

    /// The server has disconnected a socket.
    fn left(&mut self, nsp: &Nsp) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.set_phase(index, Phase::Out);
        }
        self.deactivate(index);
        self.disconnected(index, DisconnectReason::IoServerDisconnect, None);
        self.shut_if_idle(None);
    }

    /// A socket leaves: what it had queued by then is sent first.
    pub(super) fn leave(&mut self, index: usize) {
        let Some(member) = self.members.get_mut(index) else { return };
        let nsp = member.space.nsp.clone();
        for items in [&mut member.held, &mut member.inbox] {
            let events = items.iter().filter(|it| it.is_event());
            self.inbox_bytes -= events.map(Item::cost).sum::<usize>();
            items.retain(|it| !it.is_event());
        }
        let was_in = matches!(member.phase, Phase::In);
        self.send_last(index);
        let alone = (0..self.members.len()).all(|other| other == index || !self.is_active(other));
        let undecided = match self.members.get(index).map(|member| &member.phase) {
            Some(Phase::Asked { deadline } | Phase::Leaving { deadline })
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
        self.fail_acks();
        if was_in {
            self.tell_disconnected(index, DisconnectReason::IoClientDisconnect, None);
        }
        self.shut_if_idle(Some(index));
    }

    /// Tells the server that a namespace is left, if it is asked for or granted.
    fn withdraw(&mut self, index: usize) {
        self.look = true;
        let Some(member) = self.members.get_mut(index) else { return };
        let nsp = member.space.nsp.clone();
        let told = self.machine.disconnect(&nsp);
        if told {
            member.phase = Phase::Later { until: after(REJOIN) };
        } else if !matches!(member.phase, Phase::Later { .. }) {
            member.phase = Phase::Out;
        }
        if told {
            let patience = self.shared.config.close_timeout / 2;
            self.control(self.shared.config.parser.encode_disconnect(&nsp), Order::Apart(patience));
        }
    }

    /// After a namespace or the connection was left there is nothing but acknowledgements that fail.
    fn fail_acks(&mut self) {
        let exceeded = self.exceeded.take();
        while let Some(output) = self.machine.poll_output() {
            if let Output::AckFailed { waiter } = output {
                let error = match exceeded {
                    Some(limit) => AckError::TooLarge { limit },
                    None => AckError::Disconnected,
                };
                self.answer(waiter, Err(error));
            }
        }
    }

    /// The connection has ended. Who has `left` was told before.
    pub(super) fn end_spaces(
        &mut self,
        reason: DisconnectReason,
        description: Option<&str>,
        left: Option<usize>,
    ) {
        self.machine.close();
        self.fail_acks();
        let description: Option<Arc<str>> = description.map(Arc::from);
        for index in 0..self.members.len() {
            if left != Some(index) && self.is_active(index) {
                self.disconnected(index, reason, description.clone());
                continue;
            }
            // Its user has disconnected it, which was to be looked at next.
            let was_in = self.members.get(index).is_some_and(|it| matches!(it.phase, Phase::In));
            self.set_phase(index, Phase::Out);
            if was_in {
                self.tell_disconnected(index, DisconnectReason::IoClientDisconnect, None);
            }
        }
    }

    /// Looks for namespaces whose time is over.
    pub(super) fn late_spaces(&mut self, now: Instant) {
        for index in 0..self.members.len() {
            let Some(member) = self.members.get(index) else { continue };
            if member.phase.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            if matches!(member.phase, Phase::Later { .. }) {
                let until = self.left_at(now).map_or(now, |left| left + REJOIN);
                let later = Phase::Later { until };
                self.set_phase(index, if until > now { later } else { Phase::Out });
                continue;
            }
            let leaving = self.is_leaving(index);
            self.withdraw(index);
            if leaving {
                continue;
            }
            // It is asked for anew, unless nothing is tried twice.
            if !self.shared.state().reconnection.is_enabled() {
                self.deactivate(index);
            }
            self.connect_error(index, ConnectError::Timeout);
            self.shut_if_idle(None);
        }
    }

    /// Tells who waits, and the handlers, that a socket is not connected.
    pub(super) fn connect_error(&mut self, index: usize, error: ConnectError) {
        self.told(index, &error);
        // While handlers do not keep up, errors that repeat themselves are left out.
        if self.inbox_bytes <= self.shared.config.max_inbox_bytes {
            self.enqueue(index, Item::ConnectError(error));
        }
    }

    /// Tells who waits that a socket is not connected.
    fn told(&mut self, index: usize, error: &ConnectError) {
        let Some(member) = self.members.get(index) else { return };
        let waiting = std::mem::take(&mut member.space.state().connecting);
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
        self.set_phase(index, Phase::Out);
        self.tell_disconnected(index, reason, description);
    }

    fn tell_disconnected(
        &mut self,
        index: usize,
        reason: DisconnectReason,
        description: Option<Arc<str>>,
    ) {
        if let Some(member) = self.members.get(index) {
            member.space.state().id = None;
        }
        // Who called `disconnect` or `close` has told those who waited then; others wait for the next connection.
        let by_user = [DisconnectReason::IoClientDisconnect, DisconnectReason::ForcedClose];
        if !by_user.contains(&reason) {
            self.told(index, &ConnectError::Closed(reason));
        }
        self.enqueue(index, Item::Disconnect { reason, description });
    }

    /// A connection without an active socket is closed. As in Node it is closed with the last one that has `left`, and opened
    /// anew where that is to be connected again.
    fn shut_if_idle(&mut self, left: Option<usize>) {
        let idle = {
            // A socket that becomes active says so before it asks for the connection.
            let mut state = self.shared.state();
            let active = |index| self.is_active(index);
            let idle = !(0..self.members.len()).any(|index| left != Some(index) && active(index));
            state.open &= !idle || left.is_some_and(active);
            idle
        };
        if idle {
            self.shut(DisconnectReason::ForcedClose, left);
        }
    }

    fn is_leaving(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|it| matches!(it.phase, Phase::Leaving { .. }))
    }

    pub(super) fn is_active(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| member.space.state().active)
    }

    /// The socket is not connected again before it is told to.
    pub(super) fn deactivate(&mut self, index: usize) {
        self.set_phase(index, Phase::Out);
        if let Some(member) = self.members.get(index) {
            let mut state = member.space.state();
            state.active = false;
            state.id = None;
        }
    }

    fn set_phase(&mut self, index: usize, phase: Phase) {
        self.look = true;
        if let Some(member) = self.members.get_mut(index) {
            member.phase = phase;
        }
    }

    pub(super) fn find(&self, nsp: &Nsp) -> Option<usize> {
        self.members.iter().position(|member| member.space.nsp == *nsp)
    }

    fn enqueue(&mut self, index: usize, item: Item) {
        let Some(member) = self.members.get_mut(index) else { return };
        self.inbox_bytes += item.cost();
        let hold = item.is_event() && !matches!(member.phase, Phase::In);
        if hold {
            member.held.push_back(item)
        } else {
            member.inbox.push_back(item)
        }
        if self.inbox_bytes > self.shared.config.max_inbox_bytes {
            // What was missed may be more than is held: reading must go on for CONNECT to be answered.
            for member in &mut self.members {
                member.inbox.append(&mut member.held);
            }
        }
        self.set_reading();
    }

    /// The last argument of an event is its offset, where the session may be recovered.
    fn note_offset(&mut self, index: usize, args: &Args) {
        let member = self.members.get_mut(index).filter(|member| member.pid.is_some());
        let Some(member) = member else { return };
        let last = args.iter().last().filter(|last| last.starts_with('"'));
        if let Some(offset) = last.and_then(|last| serde_json::from_str(last).ok()) {
            member.offset = Some(offset);
        }
    }
}
