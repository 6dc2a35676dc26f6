//! Tests of the table of attachments.

use std::time::Duration;

use engines::Postgres;
use socketio_adapter_postgres::PostgresAdapter;
use socketio_parser::Binary;

use crate::{Node, adapter, config, connect_directly, suite::until};

#[tokio::test]
async fn nodes_that_start_together_create_one_table() {
    let engine = Postgres::start().unwrap();
    let mut starting = tokio::task::JoinSet::new();
    for n in 0..20 {
        starting.spawn(Node::join(
            adapter(&engine),
            "/",
            Box::leak(format!("n{n}").into_boxed_str()),
        ));
    }
    let nodes = starting.join_all().await;
    for node in &nodes {
        node.publish("b", &Binary(b"x".as_slice().into())).await;
    }
    for node in &nodes {
        node.inbox.wait(19).await;
        assert_eq!(node.inbox.undecodable(), [""; 0]);
    }
}

#[tokio::test]
async fn old_rows_are_deleted() {
    let engine = Postgres::start().unwrap();
    let config = config(&engine).cleanup_interval(Duration::from_millis(200));
    let node = Node::join(PostgresAdapter::new(config).unwrap(), "/", "one").await;
    node.publish("b", &Binary(b"x".as_slice().into())).await;
    let client = connect_directly(&engine).await;
    let rows = || async {
        let count = client.query_one("SELECT count(*) FROM socket_io_attachments", &[]).await;
        count.unwrap().get::<_, i64>(0)
    };
    until(|| async { rows().await == 0 }).await;
}

#[tokio::test]
async fn a_role_that_cannot_create_tables_uses_an_existing_one() {
    let engine = Postgres::start().unwrap();
    let owner = connect_directly(&engine).await;
    owner
        .batch_execute(
            "CREATE TABLE mine (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea); \
             CREATE ROLE app LOGIN; GRANT ALL ON mine TO app; GRANT ALL ON SEQUENCE mine_id_seq TO app",
        )
        .await
        .unwrap();
    let url = engine.url().replace("postgres@", "app@");
    let app = |uid| {
        let config = socketio_adapter_postgres::PostgresConfig::new(url.parse().unwrap());
        Node::join(PostgresAdapter::new(config.table("mine")).unwrap(), "/", uid)
    };
    let (one, two) = (app("one").await, app("two").await);
    one.publish("b", &Binary(b"x".as_slice().into())).await;
    assert_eq!(two.inbox.wait(1).await.len(), 1);
}
