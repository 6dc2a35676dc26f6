//! Sessions and missed events, in a collection that is capped and in one with a TTL index.

use std::{sync::Arc, time::Duration};

use engines::Mongo;
use socketio_adapter::{
    ClusterAdapter, Offset, conformance,
    recovery::{PageSize, SavedSession, SessionStore, TakeOutcome},
};
use socketio_adapter_mongodb::{
    MongoAdapter, MongoConfig,
    mongodb::{
        Collection,
        bson::{Document, doc, oid::ObjectId},
    },
};
use socketio_parser::{Nsp, value};

use crate::{Node, collection, config, suite::within};

const ALL: PageSize = PageSize { packets: 1000, bytes: 1_000_000 };
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Whether documents have `createdAt`, so that they can be deleted.
const KINDS: [bool; 2] = [false, true];

pub(crate) fn session(epoch: u64) -> SavedSession {
    SavedSession {
        nsp: Some(Nsp::root()),
        pid: "P".into(),
        sid: "S".into(),
        rooms: vec!["S".into(), "r".into()],
        data: value!({ "u": 1 }),
        owner: None,
        epoch,
        former_nodes: Vec::new(),
    }
}

async fn node_with(config: MongoConfig, uid: &str) -> Node {
    Node::join(MongoAdapter::new(config), "/", uid).await
}

pub(crate) async fn node(engine: &Mongo, uid: &str) -> Node {
    node_with(config(engine).await, uid).await
}

impl Node {
    pub(crate) fn store(&self) -> Arc<dyn SessionStore> {
        self.link.sessions().unwrap()
    }

    pub(crate) async fn log(&self, event: &str) -> Offset {
        within(self.link.publish(self.message(event))).await.unwrap().unwrap()
    }

    pub(crate) async fn take(&self, offset: &Offset) -> Option<SavedSession> {
        within(self.store().take("P", offset, None)).await.unwrap().session()
    }

    async fn missed(&self, offset: &Offset, size: PageSize) -> (Vec<String>, bool) {
        let page = within(self.store().missed(offset, size)).await.unwrap();
        let names = page.events.iter().map(|missed| missed.args.event().to_owned());
        (names.collect(), page.has_more)
    }
}

/// The documents of sessions, the latest one first.
async fn sessions(documents: &Collection<Document>) -> Vec<Document> {
    let mut found = documents.find(doc! { "type": 13 }).sort(doc! { "_id": -1 }).await.unwrap();
    let mut sessions = Vec::new();
    while found.advance().await.unwrap() {
        let mut document = Document::try_from(found.current()).unwrap();
        ["_id", "createdAt", "expiresAt", "version"]
            .iter()
            .for_each(|it| drop(document.remove(it)));
        sessions.push(document);
    }
    sessions
}

struct Log {
    engine: Mongo,
    add_created_at: bool,
}

impl conformance::LogHarness for Log {
    async fn adapter(&self) -> Arc<dyn ClusterAdapter> {
        MongoAdapter::new(config(&self.engine).await.add_created_at_field(self.add_created_at))
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn collections_of_both_kinds_pass_the_conformance_suite_of_logs() {
    for add_created_at in KINDS {
        let engine = Mongo::start().unwrap();
        if !add_created_at {
            let events = collection(&engine).await;
            let database = events.client().database(&events.namespace().db);
            database.create_collection("events").capped(true).size(1 << 20).await.unwrap();
        }
        let log = Log { engine, add_created_at };
        within(conformance::all_nodes_see_one_order(&log)).await;
        within(conformance::sessions_are_taken_once(&log)).await;
        within(conformance::missed_events_are_found(&log)).await;
    }
}

#[tokio::test]
async fn a_session_is_a_document_of_nodes_adapter() {
    for add_created_at in KINDS {
        let engine = Mongo::start().unwrap();
        let documents = collection(&engine).await;
        let config = config(&engine).await.add_created_at_field(add_created_at);
        let one = node_with(config, "one").await;
        let (store, offset) = (one.store(), one.log("x").await);
        let stored = |n: u64| {
            let rooms = ["S", "r"].as_slice();
            let mut data =
                doc! { "sid": "S", "pid": "P", "rooms": rooms, "data": { "u": 1 }, "nsp": "/" };
            data.extend((n > 0).then(|| ("epoch".to_owned(), (n as i32).into())));
            doc! { "type": 13, "data": data, "uid": "one", "nsp": "/" }
        };
        let tombstone = doc! { "type": 13, "data": { "pid": "P", "tombstone": true }, "uid": "one", "nsp": "/" };
        store.persist(session(0), MINUTE).await.unwrap();
        store.persist(session(1), MINUTE).await.unwrap();
        let all = sessions(&documents).await;
        match add_created_at {
            true => assert_eq!(all, [stored(1)]),
            false => assert_eq!(all, [stored(1), stored(0)]),
        }
        assert_eq!(one.take(&offset).await, Some(session(1)));
        let all = sessions(&documents).await;
        match add_created_at {
            true => assert_eq!(all, Vec::<Document>::new()),
            false => assert_eq!(all, [tombstone.clone(), stored(1), stored(0)]),
        }
        // The client was on a server of Node in the meantime, which is in another second.
        store.persist(session(2), MINUTE).await.unwrap();
        if !add_created_at {
            documents.insert_one(tombstone).await.unwrap();
            assert_eq!(one.take(&offset).await, None, "a server of Node took it");
        }
    }
}

#[tokio::test]
async fn a_session_of_nodes_servers_is_taken_once_and_passes_the_middlewares() {
    for add_created_at in KINDS {
        let engine = Mongo::start().unwrap();
        let config = async || config(&engine).await.add_created_at_field(add_created_at);
        let one = node_with(config().await, "one").await;
        let two = Node::join(MongoAdapter::new(config().await), "/other", "two").await;
        let offset = one.log("x").await;
        let elsewhere = within(two.link.publish(socketio_adapter::Message {
            nsp: Nsp::unchecked("/other"),
            ..two.message("x")
        }));
        let elsewhere = elsewhere.await.unwrap().unwrap();
        let rooms = ["S", "r"].as_slice();
        let data = doc! { "sid": "S", "pid": "P", "rooms": rooms, "data": { "u": 1 } };
        let document = doc! { "type": 13, "data": data, "uid": "node", "nsp": "/" };
        collection(&engine).await.insert_one(document).await.unwrap();
        assert_eq!(two.take(&elsewhere).await, None, "of another namespace");
        assert_eq!(two.take(&offset).await, None, "an offset of another namespace");
        let (first, second) = tokio::join!(one.take(&offset), one.take(&offset));
        let taken = [first, second].into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(taken, [SavedSession { nsp: None, ..session(0) }]);
    }
}

#[tokio::test]
async fn missed_events_are_in_the_order_of_the_stream_whatever_their_ids() {
    let engine = Mongo::start().unwrap();
    let one = node(&engine, "one").await;
    let from = {
        let _ = one.store();
        one.log("before").await
    };
    let documents = collection(&engine).await;
    let event = |name: &str| {
        let opts = doc! { "rooms": [], "except": [], "flags": {} };
        let data = doc! { "packet": { "type": 2, "data": [name] }, "opts": opts };
        doc! { "type": 3, "data": data, "uid": "node", "nsp": "/" }
    };
    // The clocks of these servers are slow, and one of them is an emitter.
    for (n, name) in ["c", "b", "a"].into_iter().enumerate() {
        let mut document = event(name);
        document.insert("_id", ObjectId::from_bytes([9 - n as u8; 12]));
        documents.insert_one(document).await.unwrap();
    }
    let last = one.log("after").await;
    let expected = ["c", "b", "a", "after"].map(String::from).to_vec();
    one.inbox.wait(5).await;
    assert_eq!(one.missed(&from, ALL).await, (expected.clone(), false));
    // A node that joins later reads the collection, if the session exists.
    let two = node(&engine, "two").await;
    let _ = two.store();
    let inserted = async || documents.count_documents(doc! { "uid": "two" }).await.unwrap();
    assert_eq!(two.take(&from).await, None);
    assert_eq!(inserted().await, 0);
    one.store().persist(session(0), MINUTE).await.unwrap();
    assert_eq!(two.take(&from).await, Some(session(0)));
    assert_eq!(inserted().await, 2, "a heartbeat and a tombstone");
    assert_eq!(two.missed(&from, ALL).await, (expected.clone(), false));
    let ninth = ObjectId::from_bytes([9; 12]).to_hex().into();
    assert_eq!(two.missed(&ninth, ALL).await, (expected[1..].to_vec(), false));
    assert!(two.store().is_after(&last, &ninth) && two.store().is_after(&ninth, &from));
    let two_events = PageSize { packets: 2, ..ALL };
    assert_eq!(two.missed(&from, two_events).await, (expected[..2].to_vec(), true));
    // Live events follow those from before.
    one.log("live").await;
    two.inbox.wait(1).await;
    assert_eq!(two.missed(&last, ALL).await, (vec!["live".into()], false));
}

#[tokio::test]
async fn an_offset_that_is_no_longer_in_the_collection_restores_nothing() {
    let engine = Mongo::start().unwrap();
    let one = node(&engine, "one").await;
    one.store().persist(session(0), MINUTE).await.unwrap();
    let (first, second) = (one.log("first").await, one.log("second").await);
    let last = one.log("last").await;
    one.inbox.wait(3).await;
    let documents = collection(&engine).await;
    let drop = async |offset: &Offset| {
        let id = ObjectId::parse_str(&**offset).unwrap();
        documents.delete_one(doc! { "_id": id }).await.unwrap();
    };
    drop(&first).await;
    assert_eq!(one.take(&first).await, None);
    drop(&second).await;
    let error = within(one.store().missed(&first, ALL)).await.unwrap_err();
    assert!(error.to_string().contains("no longer contains"), "{error}");
    let unknown = ObjectId::new().to_hex().into();
    assert!(within(one.store().missed(&unknown, ALL)).await.is_err());
    assert_eq!(one.take(&unknown).await, None);
    assert_eq!(one.take(&last).await, Some(session(0)), "it must stay stored");
}

#[tokio::test]
async fn a_node_finds_only_the_last_events_again() {
    let engine = Mongo::start().unwrap();
    let config = async || config(&engine).await.max_events(3);
    let one = node_with(config().await, "one").await;
    one.store().persist(session(0), MINUTE).await.unwrap();
    let mut offsets = Vec::new();
    for n in 0..5 {
        offsets.push(one.log(&format!("n{n}")).await);
    }
    let two = node_with(config().await, "two").await;
    for node in [&one, &two] {
        assert_eq!(node.take(&offsets[1]).await, None);
        let expected = ["n3", "n4"].map(String::from).to_vec();
        assert_eq!(node.missed(&offsets[2], ALL).await, (expected, false));
    }
    assert_eq!(two.take(&offsets[2]).await, Some(session(0)));
}

#[tokio::test]
async fn a_malformed_session_is_an_error_and_is_replaced() {
    for add_created_at in KINDS {
        let engine = Mongo::start().unwrap();
        let small = config(&engine).await.max_message_bytes(10_000);
        let one = node_with(small.add_created_at_field(add_created_at), "one").await;
        let (store, offset) = (one.store(), one.log("x").await);
        let documents = collection(&engine).await;
        for data in [
            doc! { "pid": "P", "sid": "S" },
            doc! { "pid": "P", "sid": 1, "rooms": [] },
            doc! { "pid": "P", "sid": "S", "rooms": [1] },
            doc! { "pid": "P", "sid": "S", "rooms": "r" },
            doc! { "pid": "P", "sid": "S", "rooms": [], "data": "x".repeat(10_000) },
        ] {
            documents.insert_one(doc! { "type": 13, "nsp": "/", "data": data }).await.unwrap();
            let error = within(store.take("P", &offset, None)).await.unwrap_err();
            assert!(error.to_string().contains("cannot be decoded"), "{error}");
            store.forget("P", 9).await.unwrap();
            store.persist(session(0), MINUTE).await.unwrap();
            assert_eq!(one.take(&offset).await, Some(session(0)));
            // The next malformed session may get a lesser id, because ids count seconds.
            documents.delete_many(doc! { "type": 13 }).await.unwrap();
        }
        let large = SavedSession { data: "x".repeat(10_000).as_str().into(), ..session(0) };
        let error = within(store.persist(large, MINUTE)).await.unwrap_err();
        assert!(error.to_string().contains("10000"), "{error}");
    }
}

#[tokio::test]
async fn large_events_are_read_page_by_page_and_too_large_ones_are_left_out() {
    let engine = Mongo::start().unwrap();
    let one = node(&engine, "one").await;
    let small = node_with(config(&engine).await.max_message_bytes(10_000), "small").await;
    let _ = (one.store(), small.store());
    let from = one.log("before").await;
    let large = "x".repeat(1_000_000);
    for name in ["a", &large, "b", &large, "c"] {
        one.log(name).await;
    }
    one.inbox.wait(6).await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(one.missed(&from, ALL).await, (names(&["a", &large]), true));
    let all = PageSize { bytes: 10_000_000, ..ALL };
    assert_eq!(one.missed(&from, all).await, (names(&["a", &large, "b", &large, "c"]), false));
    small.inbox.wait(4).await;
    assert_eq!(small.missed(&from, all).await, (names(&["a", "b", "c"]), false));
}

#[tokio::test]
async fn sessions_and_events_survive_a_server_that_is_away() {
    let engine = Mongo::start().unwrap();
    let short = async || config(&engine).await.timeout(Duration::from_secs(1));
    let (one, two) = (node_with(short().await, "one").await, node_with(short().await, "two").await);
    let _ = two.store();
    let from = one.log("before").await;
    one.store().persist(session(0), MINUTE).await.unwrap();
    one.log("missed").await;
    two.inbox.wait(2).await;
    // It is stopped, not killed: a killed one loses what it has not yet written to its journal.
    engine.pause().unwrap();
    let store = two.store();
    let (taken, missed, persisted, forgotten) = tokio::join!(
        within(store.take("P", &from, None)),
        within(store.missed(&from, ALL)),
        within(store.persist(session(1), MINUTE)),
        within(store.forget("P", 1)),
    );
    assert!(taken.is_err() && missed.is_err() && persisted.is_err() && forgotten.is_err());
    engine.resume().unwrap();
    let outcome = loop {
        match within(two.store().take("P", &from, None)).await {
            Ok(outcome) => break outcome,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(outcome, TakeOutcome::Session(session(0)));
    let page = loop {
        match within(store.missed(&from, ALL)).await {
            Ok(page) => break page,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(page.events.len(), 1, "{page:?}");
}
