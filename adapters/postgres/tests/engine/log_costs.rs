//! How many statements each operation costs. The README has a table of them.

use engines::Postgres;
use socketio_parser::Binary;

use crate::{
    Node, adapter, connect_directly,
    log::{MINUTE, missed, node, session},
};

/// Counts the statements of all connections that are opened after this.
struct Counter<'a> {
    engine: &'a Postgres,
    seen: usize,
}

impl<'a> Counter<'a> {
    async fn new(engine: &'a Postgres) -> Self {
        let client = connect_directly(engine).await;
        let all = "ALTER ROLE postgres SET log_min_messages = 'log'; \
                   ALTER ROLE postgres SET log_statement = 'all'";
        client.batch_execute(all).await.unwrap();
        Self { engine, seen: 0 }
    }

    /// Returns the number of statements since the last call, apart from heartbeats and the
    /// maintenance of connections.
    fn count(&mut self) -> usize {
        let log = self.engine.log();
        let of_events = |line: &&str| {
            (line.contains("execute ") || line.contains("statement: "))
                && ["socket_io_log", "socket_io_sessions", "pg_notify", "socket_io_attachments"]
                    .iter()
                    .any(|name| line.contains(name))
        };
        let all = log.lines().filter(of_events).count();
        let count = all - self.seen;
        self.seen = all;
        count
    }
}

async fn costs(one: &Node, two: &Node, counter: &mut Counter<'_>) -> [usize; 2] {
    counter.count();
    one.publish("small", &1).await;
    two.inbox.wait(1).await;
    let small = counter.count();
    one.publish("binary", &Binary(vec![0; 10].into())).await;
    // Each of them fetches the event.
    for node in [one, two] {
        node.inbox.wait(2).await;
    }
    [small, counter.count()]
}

#[tokio::test]
async fn each_operation_costs_the_documented_number_of_statements() {
    let engine = Postgres::start().unwrap();
    let mut counter = Counter::new(&engine).await;
    let plain = async |uid| Node::join(adapter(&engine), "/plain", uid).await;
    let (one, two) = (plain("one").await, plain("two").await);
    let publish = async |node: &Node, event: &str| {
        node.link.publish(node.message("/plain", event, &1)).await.unwrap();
    };
    counter.count();
    publish(&one, "small").await;
    two.inbox.wait(1).await;
    assert_eq!(counter.count(), 1, "an event, without a log");

    let (one, two) = (node(&engine, "one").await, node(&engine, "two").await);
    assert_eq!(
        costs(&one, &two, &mut counter).await,
        [1, 3],
        "an event, and a binary event that both nodes fetch"
    );
    let from = one.log("x").await;
    counter.count();
    one.store().persist(session("P"), MINUTE).await.unwrap();
    assert_eq!(counter.count(), 1, "a lost connection");
    two.store().take("P", &from, None).await.unwrap().session().unwrap();
    assert!(missed(&two, &from).await.unwrap().is_empty());
    assert_eq!(counter.count(), 2, "a restored session");
    one.store().persist_all(["P", "Q", "R"].map(session).into(), MINUTE).await.unwrap();
    one.store().forget("P", 0).await.unwrap();
    assert_eq!(counter.count(), 2, "sessions that are stored together, and one that ends");
}
