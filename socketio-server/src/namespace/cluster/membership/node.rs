//! The task of a namespace's membership, and the execution of requests of other nodes.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use socketio_adapter::{
    AdapterError, Body, Inbox, Link, Message, MessageError, NodeId, Offset, RequestId, Room,
    RoomInterest, recovery::HandoverRequest,
};
use tokio::runtime::Handle;

use crate::{
    namespace::{
        Namespace, NamespaceInner,
        broadcast::Broadcast,
        cluster::{
            details::details,
            membership::{
                Membership, Relay, Stage,
                join_inbox::JoinInbox,
                publish_order::{InLog, PublishOrder, UnloggedEvent},
                queue::is_volatile,
                warnings::Warnings,
            },
            server_side,
        },
    },
    socket::inner::SocketInner,
    sync::lock,
};

/// Maximum size in bytes of the messages that join the first one in a batch.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Pause before joining is retried, and time limit for leaving.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest pause if joining is denied. The pause doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Namespace {
    /// Joins the cluster, if there is an adapter and a runtime, unless this was done before.
    /// Returns the membership.
    pub(crate) fn join_cluster(&self) -> Option<&Arc<Membership>> {
        let membership = self.membership()?;
        if !membership.started.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
            && !membership.started.swap(true, Ordering::AcqRel)
        {
            let node = Node {
                membership: membership.clone(),
                namespace: Arc::downgrade(&self.0),
                runtime: runtime.clone(),
                warnings: Warnings::default(),
            };
            runtime.spawn(run(Arc::new(node)));
        }
        Some(membership)
    }
}

struct Node {
    membership: Arc<Membership>,
    namespace: Weak<NamespaceInner>,
    runtime: Handle,
    /// Limits the warnings about lost messages.
    warnings: Warnings,
}

async fn run(node: Arc<Node>) {
    let membership = &node.membership;
    tokio::select! {
        link = join(&node) => {
            let _ = membership.link.set(link.clone());
            if membership.is_logged() && let Some(store) = link.sessions() {
                let _ = membership.store.set(store);
            }
            serve(&node, &*link).await;
            let _ = tokio::time::timeout(PAUSE, membership.transfers_ended()).await;
            let leave = catch_panics(async {
                link.leave().await;
                Ok(())
            });
            let _ = tokio::time::timeout(PAUSE, leave).await;
        }
        () = membership.reached(Stage::Leaving) => {}
    }
    membership.set_stage(Stage::Left);
    membership.order.close();
}

async fn join(node: &Arc<Node>) -> Arc<dyn Link> {
    let mut pause = PAUSE;
    loop {
        let member = node.membership.member.clone();
        let inbox = Arc::new(JoinInbox::new(node.clone(), &node.membership.limits));
        let mut joined =
            pin!(catch_panics(async { node.membership.adapter.join(member, inbox.clone()).await }));
        let joined = loop {
            // Events that wait for the log are not held up by an adapter that hangs.
            match tokio::time::timeout(node.membership.request_timeout(), &mut joined).await {
                Ok(joined) => break joined,
                Err(_) => node.deliver_waiting(),
            }
        };
        match joined {
            Ok(link) => {
                inbox.joined();
                return link;
            }
            Err(error) => {
                let nsp = &node.membership.member.nsp;
                if node.warnings.is_new(&error) {
                    tracing::warn!(target: "socketio::cluster", %nsp, %error, "cannot join the cluster: retrying");
                }
                // A long pause does not hold them up either.
                let mut rest = pause;
                while !rest.is_zero() {
                    node.deliver_waiting();
                    let step = rest.min(PAUSE);
                    tokio::time::sleep(step).await;
                    rest -= step;
                }
                // A missing permission will hardly be granted within a moment.
                pause = match error {
                    AdapterError::Denied(_) => (pause * 2).min(LONGEST_PAUSE),
                    _ => PAUSE,
                };
            }
        }
    }
}

/// Runs while the namespace is in the cluster.
async fn serve(node: &Node, link: &dyn Link) {
    let membership = &node.membership;
    if link.interest() != RoomInterest::None
        && let Some(namespace) = node.namespace()
    {
        namespace.hub().watch_rooms(link.interest() == RoomInterest::All);
    }
    // Starts the timers, so it comes before `watch_clock`.
    let join_messages = membership.join_messages();
    let publish = async {
        for message in join_messages {
            report(node, catch_panics(async { link.publish(message).await.map(drop) }).await);
        }
        membership.set_stage(Stage::Joined);
        publish(node, link).await;
    };
    let overdue = async {
        membership.reached(Stage::Leaving).await;
        tokio::time::sleep(PAUSE).await;
    };
    tokio::select! {
        () = publish => {}
        () = watch_clock(membership) => {}
        () = watch_rooms(node, link) => {}
        () = watch_order(membership) => {}
        () = overdue => {
            tracing::warn!(target: "socketio::cluster", nsp = %membership.member.nsp, "the node left the cluster before it had sent all messages");
        }
    }
}

async fn publish(node: &Node, link: &dyn Link) {
    while let Some(outgoing) = node.membership.queue.next().await {
        let publish = async {
            match outgoing.to {
                None => match outgoing.message.seq {
                    Some(number) if !is_volatile(&outgoing.message.body) => {
                        publish_event(node, link, number, outgoing.message).await
                    }
                    _ => publish_plain(node, link, outgoing.message).await,
                },
                Some(to) => link.reply(&to, outgoing.message).await,
            }
        };
        report(node, catch_panics(publish).await);
    }
}

/// Runs a call of the back-end. Turns a panic into an error, so that the task continues.
async fn catch_panics<T>(
    call: impl Future<Output = Result<T, AdapterError>>,
) -> Result<T, AdapterError> {
    let mut call = pin!(call);
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))).unwrap_or_else(|_| {
            Poll::Ready(Err(AdapterError::Engine("the adapter panicked".into())))
        })
    })
    .await
}

/// Publishes a message together with waiting ones in one batch. Returns the result of the last one.
async fn publish_plain(node: &Node, link: &dyn Link, message: Message) -> Result<(), AdapterError> {
    let more = link.max_batch().saturating_sub(1);
    let mut messages = node.membership.queue.take_batch(more, MAX_BATCH_BYTES);
    if messages.is_empty() {
        return link.publish(message).await.map(drop);
    }
    messages.insert(0, message);
    let mut results = link.publish_all(messages).await;
    let last = results.pop();
    for result in results {
        report(node, result.map(drop));
    }
    last.map_or(Ok(()), |result| result.map(drop))
}

/// Publishes an event. It is delivered when the log returns it, or here, in its turn, if the engine
/// does not accept it. If the engine may have accepted it, the log has as long as a request takes to
/// return it.
async fn publish_event(
    node: &Node,
    link: &dyn Link,
    number: u64,
    message: Message,
) -> Result<(), AdapterError> {
    let order = &node.membership.order;
    order.begin_publishing(number, message.clone());
    // A panic must not skip the delivery on this node.
    let result = catch_panics(async { link.publish(message).await }).await;
    let namespace = node.namespace.clone();
    let may_be_logged = matches!(result, Err(AdapterError::Engine(_)));
    let deliver = move |event: Message| {
        let Some(namespace) = namespace.upgrade().map(Namespace) else { return };
        if let Some(membership) = namespace.membership() {
            // Nor does it overtake earlier events that may be logged, or that the log has accepted.
            deliver_late(&namespace, &membership.order, number);
        }
        deliver_unlogged(&namespace, &event, if may_be_logged { InLog::Maybe } else { InLog::No });
    };
    if order.end_publishing(&result, deliver) {
        let membership = node.membership.clone();
        node.runtime.spawn(async move {
            tokio::time::sleep(membership.request_timeout()).await;
            membership.order.settle(number + 1);
        });
    }
    result.map(drop)
}

/// Stops waiting for events that the engine accepted and did not return in time. They must neither
/// block later actions nor count as pending forever. Never returns.
async fn watch_order(membership: &Membership) {
    loop {
        let number = membership.order.pending().await;
        tokio::time::sleep(membership.request_timeout()).await;
        membership.order.give_up(number);
    }
}

/// Handles the deadlines of the membership. Never returns.
async fn watch_clock(membership: &Membership) {
    loop {
        let changed = membership.deadline_changed.notified();
        match membership.tick() {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(next.into()) => {}
                    () = changed => {}
                }
            }
            None => changed.await,
        }
    }
}

/// Reports the existing rooms to the back-end. Never returns.
async fn watch_rooms(node: &Node, link: &dyn Link) {
    loop {
        let Some(changed) = node.namespace().map(|namespace| namespace.hub().rooms_changed())
        else {
            return std::future::pending().await;
        };
        changed.notified().await;
        let Some(namespace) = node.namespace() else { continue };
        for (room, present) in namespace.hub().take_changed() {
            let mut announced = lock(&node.membership.announced_rooms);
            let is_news =
                if present { announced.insert(room.clone()) } else { announced.remove(&room) };
            drop(announced);
            if is_news {
                node.report_room(link, &room, present);
            }
        }
    }
}

fn report(node: &Node, result: Result<(), AdapterError>) {
    let counters = &node.membership.counters.here().cluster;
    let counter = if result.is_ok() { &counters.sent } else { &counters.lost };
    counter.one();
    if let Err(error) = result {
        let nsp = &node.membership.member.nsp;
        if node.warnings.is_new(&error) {
            tracing::warn!(target: "socketio::cluster", %nsp, %error, "a message was not published, so the other nodes miss it");
        } else {
            tracing::debug!(target: "socketio::cluster", %nsp, %error, "a message was not published, so the other nodes miss it");
        }
    }
}

/// Delivers an event of another node that cannot be recovered. If it has an offset in a log, clients
/// that have been sent all events up to this offset do not get it. Nor do clients that were on the
/// other node when it sent the event.
fn deliver(
    namespace: &Namespace,
    from: &NodeId,
    body: Body,
    (offset, number): (Option<&Offset>, Option<u64>),
) {
    let Body::Broadcast { args, selection, .. } = body else { return };
    let broadcast = Broadcast::on_this_node(namespace, selection);
    let is_due = |target: &SocketInner| {
        target.recoverable.as_deref().is_none_or(|recoverable| {
            !offset.is_some_and(|offset| recoverable.was_sent(offset))
                && !number.is_some_and(|number| recoverable.had_volatile((from, number)))
        })
    };
    if let Err(error) = broadcast.deliver(is_due, args.event(), &args) {
        tracing::debug!(target: "socketio::cluster", %error, "cannot deliver an event");
    }
}

/// Delivers an event of any node at its position in the log. A volatile event has none, and is
/// delivered at once.
fn deliver_logged(
    namespace: &Namespace,
    from: &NodeId,
    body: Body,
    (offset, number): (&Offset, Option<u64>),
) {
    match (body, namespace.0.delivery.engine_log()) {
        (Body::Broadcast { args, selection, .. }, Some(engine)) if !selection.flags.volatile => {
            let number = number.map(|number| (from, number));
            let broadcast = Broadcast::on_this_node(namespace, selection);
            broadcast.deliver_logged(engine, (offset, number), &args);
        }
        (body, _) => deliver(namespace, from, body, (Some(offset), number)),
    }
}

/// Delivers an event of this node that the log has not returned.
fn deliver_unlogged(namespace: &Namespace, event: &Message, in_log: InLog<'_>) {
    let Body::Broadcast { args, selection, .. } = &event.body else { return };
    let Some(engine) = namespace.0.delivery.engine_log() else { return };
    let number = event.seq.map(|number| (&event.uid, number));
    let broadcast = Broadcast::on_this_node(namespace, selection.clone());
    broadcast.deliver_unlogged(engine, UnloggedEvent { number, in_log }, args);
}

/// Delivers the events below a number that the log may contain, or has accepted, and has not
/// returned.
fn deliver_late(namespace: &Namespace, order: &PublishOrder, number: u64) {
    order.settle(number);
    for (number, (event, offset)) in order.take_late(number) {
        deliver_unlogged(namespace, &event, InLog::At(&offset));
        order.finish(number);
    }
}

impl Node {
    fn namespace(&self) -> Option<Namespace> {
        self.namespace.upgrade().map(Namespace)
    }

    /// Reports to the back-end that a room has appeared or vanished. A panic ends only this call.
    fn report_room(&self, link: &dyn Link, room: &Room, present: bool) {
        let report = || if present { link.room_appeared(room) } else { link.room_vanished(room) };
        if catch_unwind(AssertUnwindSafe(report)).is_err() {
            let nsp = &self.membership.member.nsp;
            tracing::error!(target: "socketio::cluster", %nsp, "the adapter panicked when a room appeared or vanished");
        }
    }

    /// Delivers the events that wait for an unreachable log on this node only. Other nodes do not
    /// get them.
    fn deliver_waiting(&self) {
        for message in self.membership.queue.take_logged() {
            self.membership.counters.here().cluster.lost.one();
            let number = message.seq;
            if let Some(namespace) = self.namespace() {
                deliver_unlogged(&namespace, &message, InLog::No);
            }
            number.into_iter().for_each(|number| self.membership.order.finish(number));
        }
    }

    /// Hands a session over to the node that its client has returned to.
    fn release_session(
        &self,
        namespace: Namespace,
        from: NodeId,
        request: RequestId,
        handover: HandoverRequest,
    ) {
        let membership = self.membership.clone();
        self.runtime.spawn(async move {
            let sockets = namespace.release(handover).await.into_sockets();
            membership.reply(&from, Body::FetchSocketsResponse { request, sockets });
        });
    }

    /// Delivers an event of this node that the log has returned. The event is `None` if it was
    /// delivered before.
    fn deliver_own(
        &self,
        namespace: &Namespace,
        (offset, number): (&Offset, u64),
        event: Option<Body>,
    ) {
        let Membership { order, member, .. } = &*self.membership;
        // The log has skipped these events.
        deliver_late(namespace, order, number);
        if let Some(event) = event {
            deliver_logged(namespace, &member.uid, event, (offset, Some(number)));
            order.finish(number);
        } else if let Some(engine) = namespace.0.delivery.engine_log() {
            engine.returned(offset, (&member.uid, number));
        }
    }

    /// Executes what another node requests, in a message that may be in the log: at an offset, and
    /// with a number.
    fn execute(
        &self,
        namespace: &Namespace,
        from: NodeId,
        body: Body,
        (offset, number): (Option<&Offset>, Option<u64>),
    ) {
        match body {
            Body::Broadcast { request: None, .. } => match offset {
                Some(offset) => deliver_logged(namespace, &from, body, (offset, number)),
                None => deliver(namespace, &from, body, (None, number)),
            },
            Body::Broadcast { args, selection, request: Some(request) } => {
                let relay = || Relay {
                    membership: self.membership.clone(),
                    to: from.clone(),
                    request: request.clone(),
                };
                let clients = Broadcast::on_this_node(namespace, selection).relay(
                    &args,
                    &self.runtime,
                    relay,
                );
                let (request, clients) = (request.clone(), clients as u64);
                self.membership.reply(&from, Body::BroadcastClientCount { request, clients });
            }
            Body::SocketsJoin { selection, rooms } => {
                if let Err(error) =
                    Broadcast::on_this_node(namespace, selection).sockets_join(rooms)
                {
                    let nsp = namespace.name();
                    tracing::warn!(target: "socketio::cluster", nsp, %error, "cannot execute sockets_join of another node");
                }
            }
            Body::SocketsLeave { selection, rooms } => {
                let _ = Broadcast::on_this_node(namespace, selection).sockets_leave(rooms);
            }
            Body::DisconnectSockets { selection, close } => {
                let _ = Broadcast::on_this_node(namespace, selection).disconnect(close);
            }
            Body::FetchSockets { selection, request } => {
                if let Some(handover) = HandoverRequest::from_selection(&selection) {
                    return self.release_session(namespace.clone(), from, request, handover);
                }
                let sockets = Broadcast::on_this_node(namespace, selection).targets();
                let sockets = sockets.iter().map(|socket| details(socket)).collect();
                self.membership.reply(&from, Body::FetchSocketsResponse { request, sockets });
            }
            Body::ServerSideEmit { args, request } => {
                let handlers = namespace.0.server_side.find(args.event());
                let reply_to = request.map(|request| (from, request));
                server_side::start(&self.membership, &self.runtime, &handlers, args, reply_to);
            }
            _ => {}
        }
    }
}

impl Inbox for Node {
    fn receive(&self, message: Message, offset: Option<Offset>) {
        let Some(namespace) = self.namespace() else { return };
        if message.uid == self.membership.member.uid {
            let (Some(offset), Some(number)) = (offset, message.seq) else { return };
            if !is_volatile(&message.body) {
                let is_due = self.membership.order.log_returned(number);
                self.deliver_own(&namespace, (&offset, number), is_due.then_some(message.body));
            }
            return;
        }
        self.membership.counters.here().cluster.received.one();
        // The log still returns events of a node that was killed.
        if offset.is_none()
            && let Some(engine) = namespace.0.delivery.engine_log()
        {
            engine.heard_from(&message.uid);
        }
        let number = message.seq;
        for (from, body) in self.membership.receive(message) {
            self.execute(&namespace, from, body, (offset.as_ref(), number));
        }
    }

    fn receive_own(&self, number: u64, offset: &Offset) -> bool {
        let Some(event) = self.membership.order.take_returned(number) else { return false };
        if let Some(namespace) = self.namespace() {
            self.deliver_own(&namespace, (offset, number), Some(event.body));
        }
        true
    }

    fn undecodable(&self, error: &MessageError) {
        let nsp = &self.membership.member.nsp;
        self.membership.counters.here().cluster.undecodable.one();
        tracing::warn!(target: "socketio::cluster", %nsp, %error, "a malformed message of another node was dropped");
    }
}
