//! Leaving namespaces: at the user's request, at the server's, or with the connection.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use socketio_parser::{Nsp, Output};

use super::{
    Driver, Link, Namespace, Phase,
    inbox::{InboxLimit, Item},
    link::Loss,
};
use crate::{
    engine::Order,
    error::{AckError, ConnectError, DisconnectReason},
    request::Request,
    time::after,
};

/// How long the client waits after DISCONNECT before it joins the namespace again. Node's server
/// closes the connection if both packets arrive at once.
const REJOIN: Duration = Duration::from_millis(100);

impl Driver {
    /// Handles the server's DISCONNECT.
    pub(super) fn on_disconnected(&mut self, nsp: &Nsp) {
        let Some(index) = self.find(nsp) else { return };
        if self.is_leaving(index) {
            return self.set_phase(index, Phase::NotJoined);
        }
        self.deactivate(index);
        self.report_disconnect(index, DisconnectReason::IoServerDisconnect, None);
        self.close_if_idle(None);
    }

    /// Leaves a namespace at the user's request. Packets queued by then are sent first.
    pub(super) fn leave(&mut self, index: usize) {
        let Some(namespace) = self.namespaces.get_mut(index) else { return };
        let nsp = namespace.slot.nsp().clone();
        if drop_events(&mut namespace.early_events, &mut self.inbox)
            | drop_events(&mut namespace.inbox, &mut self.inbox)
        {
            namespace.forget_session();
        }
        let was_joined = matches!(namespace.phase, Phase::Joined);
        self.send_remaining(index);
        let alone =
            (0..self.namespaces.len()).all(|other| other == index || !self.is_active(other));
        let undecided = match self.namespaces.get(index).map(|namespace| &namespace.phase) {
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
    pub(super) fn withdraw(&mut self, index: usize) {
        self.changes.requests = true;
        let Some(namespace) = self.namespaces.get_mut(index) else { return };
        let nsp = namespace.slot.nsp().clone();
        if self.machine.disconnect(&nsp) {
            namespace.withdrawn = true;
            // A server cannot always remove the session, for example while its database does not
            // respond. If it recovered the session then, its missed events would come before the
            // response to the next CONNECT, and could not be told from late events of this session.
            // A late response to this CONNECT may be taken for the response to the next one, too.
            namespace.forget_session();
            namespace.phase = Phase::Delayed { until: after(REJOIN) };
            let config = self.shared.config();
            let order = Order::AfterConfirmation(config.close_timeout / 2);
            self.send_control(config.parser.encode_disconnect(&nsp), order);
        } else if !matches!(namespace.phase, Phase::Delayed { .. }) {
            namespace.phase = Phase::NotJoined;
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
        for index in 0..self.namespaces.len() {
            let Some(namespace) = self.namespaces.get(index) else { continue };
            let request = namespace.slot.request();
            let was_joined = matches!(namespace.phase, Phase::Joined);
            self.set_phase(index, Phase::NotJoined);
            if let Some(namespace) = self.namespaces.get_mut(index) {
                namespace.withdrawn = false;
            }
            if left != Some(index) && request == Request::Open {
                self.report_disconnect(index, loss.reason, description.clone());
            } else if was_joined {
                // Its user has disconnected it, and the next round would have handled that.
                self.report_disconnect(index, DisconnectReason::IoClientDisconnect, None);
            }
        }
    }

    /// Handles namespaces whose deadline has passed.
    pub(super) fn expire_namespaces(&mut self, now: Instant) {
        for index in 0..self.namespaces.len() {
            let Some(namespace) = self.namespaces.get(index) else { continue };
            if namespace.phase.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            if matches!(namespace.phase, Phase::Delayed { .. }) {
                // A DISCONNECT that is still waiting delays the join further.
                let left = match &self.link {
                    Link::Open(engine) if engine.has_backlog() => Some(now),
                    Link::Open(engine) => engine.confirmed_send_at(),
                    _ => None,
                };
                let until = left.map_or(now, |left| left + REJOIN);
                let later = Phase::Delayed { until };
                self.set_phase(index, if until > now { later } else { Phase::NotJoined });
                continue;
            }
            let leaving = self.is_leaving(index);
            if let Some(namespace) = self.namespaces.get_mut(index) {
                drop_events(&mut namespace.early_events, &mut self.inbox);
            }
            self.withdraw(index);
            if leaving {
                continue;
            }
            // Try again, unless reconnection is off.
            if !self.shared.reconnection().is_enabled() {
                self.deactivate(index);
            }
            self.connect_error(index, ConnectError::Timeout);
            self.close_if_idle(None);
        }
    }

    fn report_disconnect(
        &mut self,
        index: usize,
        reason: DisconnectReason,
        description: Option<Arc<str>>,
    ) {
        let Some(namespace) = self.namespaces.get(index) else { return };
        namespace.slot.disconnected();
        // `disconnect` and `close` have failed the callers that waited then. Callers since then
        // wait for the next connection.
        let by_user = [DisconnectReason::IoClientDisconnect, DisconnectReason::ForcedClose];
        if !by_user.contains(&reason) {
            namespace.slot.fail_connecting(&ConnectError::Closed(reason));
        }
        self.enqueue(index, Item::Disconnect { reason, description });
    }

    /// Closes the connection if it has no active socket. As in Node, it closes with the last socket
    /// that has `left`, and opens again if that socket is to connect again.
    pub(super) fn close_if_idle(&mut self, left: Option<usize>) {
        let slot =
            left.and_then(|index| self.namespaces.get(index)).map(|namespace| &namespace.slot);
        if self.shared.withdraw_if_idle(slot) {
            self.close_connection(DisconnectReason::ForcedClose, left);
        }
    }
}

impl Namespace {
    /// Forgets the session, so that the client does not claim it again. If its events were dropped,
    /// its offset is behind them, and a server that does not learn of the disconnect would recover
    /// the session without them.
    fn forget_session(&mut self) {
        (self.pid, self.offset) = (None, None);
    }
}

/// Removes events that no handler has started for. Returns whether there were any.
fn drop_events(items: &mut VecDeque<Item>, inbox: &mut InboxLimit) -> bool {
    let before = items.len();
    items.retain(|item| {
        let dropped = item.is_event();
        if dropped {
            inbox.remove(item);
        }
        !dropped
    });
    items.len() < before
}
