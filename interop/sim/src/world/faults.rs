//! The faults of connections, nodes, clocks and the engine.

use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{Later, World};
use crate::{
    NAMESPACES, RETRIED,
    engine::Partition,
    network::{Failure, Side},
    topics,
};

impl World {
    pub(super) async fn trouble(&mut self) {
        let kind = self.random.below(13);
        if self.plan.troubles & (1 << kind) == 0 {
            return;
        }
        let client = self.random.below(self.clients.len());
        let node = self.random.below(self.nodes.len());
        let note = |text: String| self.ledger.note(format!("TROUBLE {text}"));
        match kind {
            0 | 1 => {
                note(format!("cuts client {client}"));
                self.network.fail(client, Failure::Cut);
            }
            2 => {
                note(format!("silences client {client}"));
                self.network.fail(client, Failure::Silence);
            }
            3 => {
                note(format!("client {client} alone gets an error"));
                self.network.fail(client, Failure::HalfOpen(Side::Client));
            }
            4 => {
                note(format!("the server of client {client} alone gets an error"));
                self.network.fail(client, Failure::HalfOpen(Side::Server));
            }
            5 => {
                let time = self.random.millis(100..15_000);
                note(format!("stalls client {client} for {time:?}"));
                self.network.stall(client, time);
            }
            6 => {
                note(format!("client {client} has another network"));
                self.network.retarget(client);
                self.clients[client].manager.network_changed();
            }
            7 => {
                note(format!("client {client} cannot reach node {node}"));
                self.network.block(client, node, true);
                self.later(500..20_000, Later::Unblock(client, node));
            }
            8 => {
                let partition = [Partition::Refusing, Partition::Stuck][self.random.below(2)];
                let partition = self.extras.noticed(partition);
                note(format!("node {node} cannot reach the engine: {partition:?}"));
                let access = self.nodes[node].as_ref().and_then(|node| node.access.clone());
                if let Some(access) = access {
                    access.partition(Some(partition));
                    self.ledger.begin_losses(self.losing_node(node), 0);
                    self.later(200..15_000, Later::Reach(node, access));
                }
            }
            9 => self.crash(node),
            10 => self.drain(node),
            11 => self.jump().await,
            _ if self.random.chance(50) => {
                note(format!("client {client} is slow"));
                self.network.slow(client, true);
                self.network.fail(client, Failure::Cut);
            }
            _ if self.away.insert(client) => {
                note(format!("client {client} leaves"));
                self.clients[client].leave();
                self.later(50..10_000, Later::ComeBack(client));
            }
            _ => {}
        }
    }

    /// A clock jumps: that of the process, which did not run for a while, or the wall clock.
    async fn jump(&mut self) {
        if self.random.chance(50) {
            let time = self.random.millis(500..8_000);
            self.ledger.stands_still(time);
            advance(time).await;
        } else {
            self.ledger.note("TROUBLE the machine slept for an hour");
            self.clock.sleep(Duration::from_secs(3600));
        }
    }

    /// Ends a node without a word. Nobody hears what is left of it.
    fn crash(&mut self, node: usize) {
        let Some(former) = self.nodes[node].take() else { return };
        let sides = [Failure::Cut, Failure::Silence, Failure::HalfOpen(Side::Client)];
        let failure = sides[self.random.below(3)];
        self.ledger.note(format!("TROUBLE node {node} crashes: {failure:?}"));
        self.ledger.begin_losses(Some(node), 0);
        self.ledger.end_losses(Some(node), 0, Duration::ZERO);
        if let Some(access) = &former.access {
            access.kill();
        }
        self.network.listen(node, None);
        self.network.fail_node(node, failure);
        former.io.close();
        former.stop();
        self.former.push(former);
        self.later(200..10_000, Later::Start(node));
    }

    /// Replaces a node.
    fn drain(&mut self, node: usize) {
        let Some(former) = self.nodes[node].take() else { return };
        self.ledger.note(format!("TROUBLE node {node} is drained"));
        let (io, ledger) = (former.io.clone(), self.ledger.clone());
        tokio::spawn(async move {
            // Within a longer time, sessions would close at random moments.
            io.drain(Duration::ZERO).await;
            io.ended().await;
            ledger.note(format!("node {node} has ended"));
        });
        if let Some(time) = self.extras.interruption() {
            self.later.push((Instant::now() + time, Later::Crash(self.former.len())));
        }
        self.former.push(former);
        self.later(8_000..15_000, Later::Start(node));
    }

    /// Crashes a node that is being drained.
    pub(super) fn crash_former(&mut self, former: usize) {
        let former = &self.former[former];
        let node = former.origin.0;
        self.ledger.note(format!("TROUBLE node {node} crashes while it is drained"));
        self.ledger.begin_losses(Some(node), 0);
        self.ledger.end_losses(Some(node), 0, Duration::ZERO);
        if let Some(access) = &former.access {
            access.kill();
        }
        self.network.fail_node(node, Failure::Cut);
        former.io.close();
        former.stop();
    }

    /// From now on a node gets messages of the engine late, although its calls are executed.
    pub(super) fn stall_messages(&mut self) {
        let Some((node, time)) = self.extras.stalled_messages(&self.nodes) else { return };
        let Some(access) = self.nodes[node].as_ref().and_then(|node| node.access.clone()) else {
            return;
        };
        self.ledger.note(format!("TROUBLE node {node} gets messages {time:?} late"));
        access.stall_messages(true);
        self.later.push((Instant::now() + time, Later::Receive(access)));
    }

    /// From now on a node misses the engine's responses, although the engine does what it is asked.
    pub(super) fn lose_responses(&mut self) {
        let Some((node, lost, time)) = self.extras.lost_responses(&self.nodes) else { return };
        let Some(access) = self.nodes[node].as_ref().and_then(|node| node.access.clone()) else {
            return;
        };
        self.ledger.note(format!("TROUBLE node {node} gets no response of the engine: {lost:?}"));
        access.lose_responses(Some(lost));
        // A namespace that joins the cluster or leaves it at this time does not know whether its
        // events are published. The others get each event from the log.
        let has_joined =
            |nsp: &&str| self.engine.as_ref().is_some_and(|it| it.has_member(&access, nsp));
        let all_joined = NAMESPACES.iter().chain(&RETRIED).all(has_joined);
        let first_nsp = if all_joined { topics::FIRST } else { 0 };
        self.ledger.begin_losses(Some(node), first_nsp);
        self.later.push((Instant::now() + time, Later::Respond(node, first_nsp, access)));
    }
}
