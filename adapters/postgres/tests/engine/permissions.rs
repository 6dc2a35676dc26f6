//! A namespace whose channel PostgreSQL refuses does not affect the others.

use std::sync::Arc;

use engines::Postgres;
use socketio_adapter::{AdapterError, ClusterAdapter, ClusterMember};
use socketio_adapter_postgres::{
    EventLog, PostgresAdapter, PostgresConfig,
    tokio_postgres::{NoTls, error::SqlState},
};
use socketio_parser::Binary;

use crate::{
    Node, adapter, connect_directly,
    suite::{RecordingInbox, until, within},
};

async fn denied(adapter: &PostgresAdapter, nsp: &str) -> String {
    let member = ClusterMember { nsp: socketio_parser::Nsp::unchecked(nsp), uid: "denied".into() };
    match within(adapter.join(member, Arc::new(RecordingInbox::default()))).await {
        Err(error @ AdapterError::Denied(_)) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it has joined"),
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_is_named_and_costs_its_own_namespace() {
    let engine = Postgres::start().unwrap();
    let (one, two) = (adapter(&engine), adapter(&engine));
    let here = Node::join(one.clone(), "/", "one").await;
    let there = Node::join(two, "/", "two").await;
    let long = format!("/{}", "n".repeat(60));
    assert!(denied(&one, &long).await.contains(&long));
    here.publish("x", &1).await;
    there.inbox.wait(1).await;
}

#[tokio::test]
async fn a_channel_that_postgresql_refuses_costs_its_own_namespace() {
    let engine = Postgres::start().unwrap();
    let admin = connect_directly(&engine).await;
    let create =
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    admin.batch_execute(create).await.unwrap();
    let latin = || {
        let mut database: socketio_adapter_postgres::tokio_postgres::Config =
            engine.url().parse().unwrap();
        database.dbname("latin");
        PostgresAdapter::new(socketio_adapter_postgres::PostgresConfig::new(database)).unwrap()
    };
    let (one, two) = (latin(), latin());
    let here = Node::join(one.clone(), "/", "one").await;
    let there = Node::join(two, "/", "two").await;
    let listeners = async || {
        let rows = "SELECT pid FROM pg_stat_activity WHERE datname = 'latin' ORDER BY pid";
        let rows = admin.query(rows, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>()
    };
    let connections = listeners().await;
    for _ in 0..3 {
        assert!(denied(&one, "/\u{1f388}").await.contains("socket.io#/\u{1f388}"));
        here.publish("x", &1).await;
        there.publish("x", &1).await;
    }
    for node in [&here, &there] {
        until(|| async { node.inbox.messages().len() >= 3 }).await;
    }
    assert_eq!(listeners().await, connections, "the connections are the same");
}

#[tokio::test]
async fn the_permissions_that_the_readme_recommends_suffice() {
    let readme = include_str!("../../README.md");
    let (_, rules) = readme.split_once("## Permissions").unwrap();
    let (_, rules) = rules.split_once("```sql\n").unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    let engine = Postgres::start().unwrap();
    let admin = connect_directly(&engine).await;
    // A database cannot be created together with other statements.
    for rule in rules.lines() {
        admin.batch_execute(rule).await.unwrap();
    }
    admin.batch_execute("CREATE ROLE other LOGIN").await.unwrap();
    let address = |user: &str| {
        let mut database: socketio_adapter_postgres::tokio_postgres::Config =
            engine.url().parse().unwrap();
        database.user(user).dbname("cluster");
        database
    };
    let join = async |uid| {
        let config = PostgresConfig::new(address("servers"));
        let config = config.connection_state_recovery(EventLog::default());
        Node::join(PostgresAdapter::new(config).unwrap(), "/", uid).await
    };
    let (here, there) = (join("one").await, join("two").await);
    here.publish("x", &Binary(b"attached".as_slice().into())).await;
    there.inbox.wait(1).await;

    let refused = address("other").connect(NoTls).await.err().unwrap();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{refused}");
}
