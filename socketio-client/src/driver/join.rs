//! Joining namespaces, and the server's packets for them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use serde::Deserialize;
use serde_json::{Map, Value};
use socketio_parser::{Args, Nsp, Output, Protocol, RawJson};

use super::{Driver, Phase, inbox::Item};
use crate::{
    config::Auth,
    engine::Order,
    error::{AckError, ConnectError},
    reconnection::{Backoff, random},
    socket::Waiter,
    time::after,
};

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
    /// Handles the outputs of the protocol state machine, beginning with `first`.
    pub(super) fn outputs(&mut self, mut first: Option<Output<Waiter>>, cx: &mut Context<'_>) {
        while let Some(output) = first.take().or_else(|| self.machine.poll_output()) {
            match output {
                Output::Event { nsp, id, args } => {
                    if let Some(index) = self.find(&nsp).filter(|index| self.expects_events(*index))
                    {
                        let epoch = self.namespaces.get(index).map_or(0, |it| it.epoch);
                        self.note_offset(index, &args);
                        if self.is_free(index) {
                            self.dispatch_event(index, id, args, epoch, cx);
                        } else {
                            self.enqueue(index, Item::Event { id, args, epoch });
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
        let Some(namespace) = self.namespaces.get_mut(index) else { return };
        // In text, a name ends at the first comma. The server would read another namespace.
        if let Err(error) = self.shared.config().parser.nsp(namespace.slot.nsp().as_str()) {
            self.deactivate(index);
            self.connect_error(index, error.into());
            return self.close_if_idle(None);
        }
        namespace.epoch = namespace.slot.begin_join();
        match namespace.slot.config().auth.clone() {
            Auth::Value(auth) => self.send_connect(index, &auth),
            Auth::Function(provide) => match catch_unwind(AssertUnwindSafe(|| provide())) {
                Ok(future) => namespace.phase = Phase::AwaitingAuth { future, deadline },
                Err(_) => self.auth_failed(index, "the function panicked".into()),
            },
        }
    }

    /// Polls the functions that provide `auth`.
    pub(super) fn poll_auth(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = false;
        for index in 0..self.namespaces.len() {
            let Some(namespace) = self.namespaces.get_mut(index) else { continue };
            let Phase::AwaitingAuth { future, .. } = &mut namespace.phase else { continue };
            // Formatting an error runs user code too.
            let poll = || future.as_mut().poll(cx).map_err(|error| error.to_string());
            match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(Ok(auth))) => self.send_connect(index, &auth),
                Ok(Poll::Ready(Err(error))) => self.auth_failed(index, error),
                Err(_) => self.auth_failed(index, "the function panicked".into()),
            }
            progressed = true;
        }
        progressed
    }

    fn send_connect(&mut self, index: usize, auth: &Value) {
        let Some(namespace) = self.namespaces.get(index) else { return };
        let nsp = namespace.slot.nsp().clone();
        let mut payload = Map::new();
        if let Some(pid) = &namespace.pid {
            payload.insert("pid".into(), pid.as_str().into());
            if let Some(offset) = &namespace.offset {
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
        match self.shared.config().parser.encode_connect(Protocol::V5, &nsp, &payload) {
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
        let policy = self.shared.reconnection();
        // Without a delay, a function that fails at once would be called in a loop.
        let delayed = policy.clone().attempts(1).immediate(false);
        let delay = Backoff::default().next(&delayed, random());
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
        let Some(namespace) = self.namespaces.get_mut(index) else { return };
        let joined = self.shared.connect_socket(|| {
            let recovered = pid.is_some() && pid == namespace.pid;
            if !recovered {
                namespace.offset = None;
            }
            namespace.pid = pid;
            namespace.withdrawn = false;
            namespace.slot.joined(sid, recovered)
        });
        // If the manager was closed or the socket was disconnected meanwhile, the next round
        // handles that.
        let Some((same_id, waiting)) = joined else { return };
        // A connected client gets another session if the present one came with the late response to
        // an earlier CONNECT.
        let known = same_id && matches!(namespace.phase, Phase::Joined);
        namespace.phase = Phase::Joined;
        self.changes.packets = true;
        let early_events = std::mem::take(&mut namespace.early_events);
        namespace.inbox.extend(early_events);
        self.add_waiting(index);
        self.start_waiting(cx);
        if !self.has_expired() {
            self.flush_namespace(index);
        }
        for waiting in waiting {
            let _ = waiting.send(Ok(()));
        }
        if !known {
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

    /// Reports that a socket is not connected to the callers of `connect` and to the handlers.
    pub(super) fn connect_error(&mut self, index: usize, error: ConnectError) {
        if let Some(namespace) = self.namespaces.get(index) {
            namespace.slot.fail_connecting(&error);
        }
        // While the inbox is full, repeated errors are dropped.
        if !self.inbox.is_exceeded() {
            self.enqueue(index, Item::ConnectError(error));
        }
    }

    pub(super) fn enqueue(&mut self, index: usize, item: Item) {
        let Some(namespace) = self.namespaces.get_mut(index) else { return };
        self.inbox.add(&item);
        let hold = item.is_event() && !matches!(namespace.phase, Phase::Joined);
        if hold {
            namespace.early_events.push_back(item)
        } else {
            namespace.inbox.push_back(item)
        }
        if self.inbox.is_exceeded() {
            // Missed events may exceed the limit before CONNECT arrives. Hand them to the inbox,
            // because reading must continue until CONNECT.
            for namespace in &mut self.namespaces {
                namespace.inbox.append(&mut namespace.early_events);
            }
            (0..self.namespaces.len()).for_each(|index| self.add_waiting(index));
        }
        self.add_waiting(index);
        self.set_reading();
    }

    /// Returns whether an event that arrives now belongs to the current join of the namespace.
    fn expects_events(&self, index: usize) -> bool {
        self.namespaces.get(index).is_some_and(|namespace| match namespace.phase {
            Phase::Leaving { .. } => false,
            Phase::Joined => true,
            _ => !namespace.withdrawn,
        })
    }

    /// Records the offset of an event, which is its last argument if the session can be recovered.
    fn note_offset(&mut self, index: usize, args: &Args) {
        let namespace = self.namespaces.get_mut(index).filter(|namespace| namespace.pid.is_some());
        let Some(namespace) = namespace else { return };
        let last = args.iter().last().filter(|last| last.starts_with('"'));
        if let Some(offset) = last.and_then(|last| serde_json::from_str(last).ok()) {
            namespace.offset = Some(offset);
        }
    }
}
