//! Namespaces that appear and vanish while clients connect, and the end of the server.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use shuttle::future::block_on;
use socketio_parser::Nsp;

use super::{World, model, thread};
use crate::{ServerConfig, namespace::rule::Rule, socket::Socket};

#[test]
fn closing_the_server_beside_a_connect_leaves_no_socket() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let mut client = world.open();
        let (registry, engine) = (world.registry.clone(), world.engine.clone());
        let closer = thread(move || {
            registry.close();
            engine.close();
        });
        client.send("40");
        while client.receive().is_some() {}
        block_on(client.driver).unwrap();
        closer.join().unwrap();
        while world.sockets.try_recv().is_ok() {}
        world.assert_empty();
        block_on(world.main.0.all_sockets_dropped());
    });
}

#[test]
fn a_namespace_made_beside_the_end_of_the_server_ends_too() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let registry = world.registry.clone();
        let closer = thread(move || registry.close());
        let namespace = world.registry.of(Nsp::unchecked("/a"));
        closer.join().unwrap();
        assert!(namespace.0.is_ending());
    });
}

#[test]
fn closing_a_namespace_beside_a_connect_leaves_no_socket_in_it() {
    model(|| {
        let world = World::new(ServerConfig::default());
        let nsp = Nsp::unchecked("/a");
        let namespace = world.registry.of(nsp.clone());
        let mut client = world.open();
        let registry = world.registry.clone();
        let closer = thread(move || assert!(registry.close_namespace(&nsp)));
        client.send("40/a,");
        // The response, and the disconnection of a client that has got in.
        if client.receive().unwrap().starts_with("0/a,") {
            assert_eq!(client.receive().unwrap(), "1/a,");
        }
        closer.join().unwrap();
        client.lose();
        assert_eq!(namespace.hub().len(), 0);
        world.assert_empty();
    });
}

#[test]
fn the_namespace_of_a_client_is_listed_as_long_as_it_is_in_there() {
    model(|| {
        let world = World::new(ServerConfig::default().max_dynamic_namespaces(1));
        let template = world.registry.add_parent(Rule::pattern("/d-{n}").unwrap());
        let entered = Arc::new(AtomicU32::new(0));
        let (registry, count) = (world.registry.clone(), entered.clone());
        template.on_connection(move |socket: Socket| {
            let listed = registry.namespaces();
            assert!(listed.iter().any(|it| Arc::ptr_eq(&it.0, &socket.namespace().0)));
            count.fetch_add(1, SeqCst);
            async {}
        });
        let clients = [world.open(), world.open()].map(|mut client| {
            thread(move || {
                client.send("40/d-1,");
                assert!(client.receive().unwrap().starts_with("0/d-1,"));
                client.send("41/d-1,");
                client.lose();
            })
        });
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(entered.load(SeqCst), 2);
        assert_eq!(world.registry.namespaces().len(), 1, "the empty namespace is left");
    });
}
