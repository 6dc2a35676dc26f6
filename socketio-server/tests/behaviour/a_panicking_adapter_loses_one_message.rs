//! A back-end is the user's code: where it panics, the namespace stays in its cluster.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use socketio_adapter::{AdapterError, BoxFuture, Discovery, Inbox, Link, Message, Offset, Seat};
use socketio_server::{ClusterAdapter, Server, ServerConfig};
use support::{until, within};

/// Panics when it is first asked to join, and at the first message.
#[derive(Debug, Default)]
struct Panicking {
    joins: AtomicUsize,
    published: Arc<AtomicUsize>,
}

struct Line(Arc<AtomicUsize>);

impl ClusterAdapter for Panicking {
    fn discovery(&self) -> Discovery {
        Discovery::Count
    }

    fn join(
        &self,
        _: Seat,
        _: Arc<dyn Inbox>,
    ) -> BoxFuture<'_, Result<Arc<dyn Link>, AdapterError>> {
        assert!(self.joins.fetch_add(1, Ordering::SeqCst) > 0, "the adapter panics");
        let line: Arc<dyn Link> = Arc::new(Line(self.published.clone()));
        Box::pin(async move { Ok(line) })
    }
}

impl Link for Line {
    fn publish(&self, _: Message) -> BoxFuture<'_, Result<Option<Offset>, AdapterError>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            assert!(!first, "the link panics");
            Ok(None)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<usize, AdapterError>> {
        Box::pin(async { Ok(1) })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_adapter_loses_one_message() {
    let adapter = Arc::new(Panicking::default());
    let io = Server::with_config(ServerConfig::default().adapter(adapter.clone()));
    within(io.joined()).await;
    assert_eq!(adapter.joins.load(Ordering::SeqCst), 2);
    for n in 1..=2 {
        io.emit("n", &n).unwrap();
        until(|| adapter.published.load(Ordering::SeqCst) == n).await;
    }
    until(|| io.stats().cluster.sent == 1).await;
    assert_eq!(io.stats().cluster.lost, 1);
}
