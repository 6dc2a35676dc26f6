//! Malformed documents, and a server that stops and comes back.

use std::{sync::Arc, time::Duration};

use engines::Mongo;
use socketio_adapter::{AdapterError, Body, ClusterAdapter, ClusterMember, Message};
use socketio_adapter_mongodb::{MongoAdapter, mongodb::bson::doc};
use socketio_parser::Nsp;

use crate::{
    Node, adapter, collection, config,
    recovery::{MINUTE, session},
    suite::{RecordingInbox, check_sizes, until, within},
};

#[tokio::test]
async fn malformed_documents_are_counted_and_dropped() {
    let engine = Mongo::start().unwrap();
    let node = Node::join(adapter(&engine).await, "/", "one").await;
    let documents = collection(&engine).await;
    for document in [
        doc! { "nsp": "/" },
        doc! { "nsp": "/", "uid": "u", "type": 99 },
        doc! { "nsp": "/", "uid": "u", "type": 3, "data": { "packet": [] } },
        doc! { "uid": "u", "type": 2 },
        doc! { "nsp": 1 },
        // A session of Node's servers.
        doc! { "nsp": "/", "uid": "u", "type": 13, "data": { "pid": "p" } },
        doc! { "nsp": "/", "uid": "u", "type": 2 },
    ] {
        documents.insert_one(document).await.unwrap();
    }
    assert_eq!(node.inbox.wait(1).await[0].body, Body::Heartbeat);
    assert_eq!(node.inbox.undecodable().len(), 3, "those of its namespace");
}

#[tokio::test]
async fn a_message_that_is_accepted_is_received_whatever_its_size() {
    let engine = Mongo::start().unwrap();
    let node = async |uid| {
        let config = config(&engine).await.max_message_bytes(1000).add_created_at_field(true);
        Node::join(MongoAdapter::new(config), "/", uid).await
    };
    let (one, two) = (node("one").await, node("two").await);
    let publish = async |event: &str| {
        let message = Message { seq: Some(1), ..one.message(event) };
        one.link.publish(message).await.map(drop)
    };
    check_sizes(publish, &two.inbox).await;
}

#[tokio::test]
async fn a_node_that_left_cannot_publish_and_no_goodbye_is_sent() {
    let engine = Mongo::start().unwrap();
    let (one, two) = (
        Node::join(adapter(&engine).await, "/", "one").await,
        Node::join(adapter(&engine).await, "/", "two").await,
    );
    let goodbye = Message { body: Body::AdapterClose, ..one.message("") };
    within(one.link.publish(goodbye)).await.unwrap();
    one.publish("x").await;
    two.inbox.wait(1).await;
    assert_eq!(two.events(), ["x"]);
    one.link.leave().await;
    let error = within(one.link.publish(one.message("y"))).await.unwrap_err();
    assert!(matches!(error, AdapterError::NotInCluster), "{error}");
}

/// MongoDB ends the change stream of a collection that is dropped.
#[tokio::test]
async fn nodes_continue_after_the_collection_was_dropped() {
    let engine = Mongo::start().unwrap();
    let one = Node::join(adapter(&engine).await, "/", "one").await;
    let two = Node::join(adapter(&engine).await, "/", "two").await;
    let offset = one.log("before").await;
    one.store().persist(session(0), MINUTE).await.unwrap();
    two.inbox.wait(1).await;
    collection(&engine).await.drop().await.unwrap();
    for number in 0..3 {
        one.publish(&format!("after {number}")).await;
    }
    until(|| async { two.events().last().is_some_and(|event| event == "after 2") }).await;
    assert_eq!(two.events(), ["before", "after 0", "after 1", "after 2"]);
    // Its client gets a new session.
    assert_eq!(two.take(&offset).await, None);
    assert_eq!(one.take(&offset).await, None);
}

#[tokio::test]
async fn a_dead_server_fails_in_time_and_nodes_continue_afterwards() {
    let engine = Mongo::start().unwrap();
    let short = async |uid| {
        let config = config(&engine).await.timeout(Duration::from_secs(3));
        Node::join(MongoAdapter::new(config), "/", uid).await
    };
    let (one, two) = (short("one").await, short("two").await);
    engine.kill().unwrap();
    let error = within(one.link.publish(one.message("lost"))).await.unwrap_err();
    assert!(matches!(error, AdapterError::Engine(_)), "{error}");
    let member = ClusterMember { nsp: Nsp::root(), uid: "three".into() };
    let three = MongoAdapter::new(config(&engine).await.timeout(Duration::from_secs(1)));
    let joined = within(three.join(member, Arc::new(RecordingInbox::default()))).await;
    assert!(matches!(joined.err(), Some(AdapterError::Engine(_))));
    engine.restart().unwrap();
    for (from, to) in [(&one, &two), (&two, &one)] {
        until(|| async {
            let _ = from.link.publish(from.message("again")).await;
            to.events().iter().any(|event| event == "again")
        })
        .await;
    }
}
