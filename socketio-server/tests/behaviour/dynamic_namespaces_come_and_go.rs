//! Dynamic namespaces are matched by an expression, a pattern or a function, created when a client
//! is accepted, and removed when they are empty.

use crate::support;

use std::sync::Arc;

use socketio_server::{
    Event, HandlerError, NamespaceRequest, NamespaceVerdict, Params, ParentNamespace, ServerConfig,
    Socket,
};
use support::{Client, Done, Running, disconnections, log, server, server_with, until, within};
use tokio::sync::Notify;

const DOUBLE: Event<u32, u32> = Event::new("double");

fn names(parent: &ParentNamespace) -> Vec<String> {
    let mut names: Vec<_> = parent.children().iter().map(|child| child.name().to_owned()).collect();
    names.sort();
    names
}

/// The decision of a function that refuses no client.
fn accept(accept: bool) -> Result<NamespaceVerdict, HandlerError> {
    Ok(if accept { NamespaceVerdict::Accept } else { NamespaceVerdict::Pass })
}

async fn refused(client: &mut Client, nsp: &str, message: &str) {
    client.send(&format!("40{nsp},")).await;
    client.expect(&format!(r#"44{nsp},{{"message":"{message}"}}"#)).await;
}

#[tokio::test]
async fn an_expression_matches_names() {
    let server = server().await;
    let parent = server.io.of_regex(r"^/dynamic-\d+$").unwrap();
    parent.on("name", |socket: Socket| async move { socket.nsp().to_string() });
    let mut client = server.client().await;
    client.connect("/dynamic-101").await;
    client.connect("/dynamic-102").await;
    assert_eq!(names(&parent), ["/dynamic-101", "/dynamic-102"]);
    client.send(r#"42/dynamic-101,0["name"]"#).await;
    client.expect(r#"43/dynamic-101,0["/dynamic-101"]"#).await;
    for name in ["/dynamic-x", "/x/dynamic-1", "/dynamic-"] {
        refused(&mut client, name, "Invalid namespace").await;
    }
    // The connection and its other namespaces remain.
    client.fence().await;
    assert_eq!(names(&parent).len(), 2);
}

#[tokio::test]
async fn a_pattern_has_parameters() {
    let server = server().await;
    let parent = server.io.of_pattern("/orders/{id}/items/{item}").unwrap();
    parent.on_connection(|socket: Socket, params: Params| async move {
        let id: u32 = params.parse("id")?;
        socket.emit("order", &(id, socket.param("item"), socket.param("none")))?;
        Done::Ok(())
    });
    let mut client = server.open().await;
    client.connect("/orders/7/items/a b").await;
    client.expect(r#"42/orders/7/items/a b,["order",7,"a b",null]"#).await;
    refused(&mut client, "/orders/7/items/", "Invalid namespace").await;
    assert_eq!(server.io.sockets().params(), Params::default());
}

#[tokio::test]
async fn a_function_decides_before_a_namespace_is_created() {
    let server = server().await;
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let parent = server.io.of_fn(move |request: NamespaceRequest| {
        let waits = waits.clone();
        async move {
            assert!(request.handshake().url().starts_with("/socket.io/"));
            waits.notified().await;
            accept(request.name() == "/team" && request.auth::<(String,)>().is_err())
        }
    });
    let mut client = server.client().await;
    client.send(r#"40/team,{"token":1}"#).await;
    client.fence().await;
    assert_eq!(names(&parent), [""; 0]);
    go.notify_one();
    client.connected("/team").await;
    assert_eq!(names(&parent), ["/team"]);
    go.notify_one();
    refused(&mut client, "/other", "Invalid namespace").await;
    assert_eq!(names(&parent), ["/team"]);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_decision_leaves_nothing_behind() {
    let server = server().await;
    let (sender, mut asked) = log();
    let held = Arc::new(());
    let kept = held.clone();
    let parent = server.io.of_fn(move |_| {
        let _ = sender.send(());
        let kept = kept.clone();
        async move {
            std::future::pending::<()>().await;
            drop(kept);
            accept(true)
        }
    });
    let mut client = server.client().await;
    client.send("40/team,").await;
    asked.next().await;
    client.send("41/team,").await;
    until(|| Arc::strong_count(&held) == 2).await;
    client.send("40/team,").await;
    asked.next().await;
    client.reset();
    until(|| Arc::strong_count(&held) == 2).await;
    assert_eq!(names(&parent), [""; 0]);
}

#[tokio::test]
async fn the_first_parent_that_accepts_wins() {
    let server = server().await;
    let (sender, mut log) = log();
    let told = |parent: ParentNamespace, name: &'static str| {
        let sender = sender.clone();
        parent.on_connection(move || {
            let _ = sender.send(name);
            async {}
        });
    };
    told(server.io.of_fn(|_| async { accept(false) }), "nobody");
    told(server.io.of_pattern("/a/{x}").unwrap(), "pattern");
    told(server.io.of_fn(|request| async move { accept(request.name().len() < 5) }), "function");
    told(server.io.of_regex("").unwrap(), "all");
    let mut client = server.open().await;
    for name in ["/a/1", "/b/1", "/b/123"] {
        client.connect(name).await;
    }
    assert_eq!(log.rest(), ["pattern", "function", "all"]);
    // An existing namespace takes precedence over all parents.
    server.io.of("/static").on_connection(|socket: Socket| async move {
        socket.emit("static", &())?;
        Done::Ok(())
    });
    // A name that an expression matches becomes a child, even if the application declares it.
    client.connect("/static").await;
    client.expect(r#"42/static,["static"]"#).await;
    assert_eq!(log.rest(), ["all"]);
}

#[tokio::test]
async fn a_function_that_panics_refuses_one_client() {
    let server = server().await;
    fn boom() {
        panic!("secret detail")
    }
    server.io.of_fn(|_| async {
        boom();
        accept(true)
    });
    let mut client = server.client().await;
    refused(&mut client, "/any", "internal error").await;
    client.fence().await;
}

#[tokio::test]
async fn a_child_starts_with_the_handlers_of_its_parent() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let mut failures = {
        let (sender, failures) = log();
        parent.on_error(move |_, failure| {
            let _ = sender.send(failure.event.clone());
        });
        failures
    };
    parent.on("early", || async { 1 });
    parent.handle(DOUBLE, |_socket, n| async move { 2 * n });
    parent.on("fails", || async { Done::Err(HandlerError::public("no")) });
    let mut client = server.open().await;
    client.connect("/room/1").await;
    parent.on("late", || async { 2 });
    client.connect("/room/2").await;
    client.send(r#"42/room/1,0["early"]"#).await;
    client.expect("43/room/1,0[1]").await;
    client.send(r#"42/room/1,0["double",21]"#).await;
    client.expect("43/room/1,0[42]").await;
    client.send(r#"42/room/1,1["late"]"#).await;
    client.send(r#"42/room/2,2["late"]"#).await;
    client.expect("43/room/2,2[2]").await;
    client.send(r#"42/room/2,["fails"]"#).await;
    assert_eq!(failures.next().await, "fails");
}

#[tokio::test]
async fn an_empty_child_is_removed_unless_the_application_declared_it() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    parent.use_(|socket: Socket| async move {
        match socket.param("n") {
            Some("refused") => Err(HandlerError::public("no")),
            _ => Ok(()),
        }
    });
    let named = server.io.of("/room/named");
    assert_eq!(named.params().get("n"), Some("named"));
    let mut client = server.client().await;
    refused(&mut client, "/room/refused", "no").await;
    let mut other = server.open().await;
    for name in ["/room/1", "/room/named", "/room/later"] {
        client.connect(name).await;
    }
    other.connect("/room/1").await;
    server.io.of("/room/later");
    client.burst(&["41/room/1,", "41/room/named,", "41/room/later,"]).await;
    client.fence().await;
    assert_eq!(names(&parent), ["/room/1", "/room/later", "/room/named"]);
    other.close().await;
    until(|| names(&parent) == ["/room/later", "/room/named"]).await;
}

/// The client acknowledges the event of the namespace that was removed, and is on the same connection.
#[tokio::test]
async fn a_late_ack_is_not_taken_for_one_of_a_later_namespace_of_that_name() {
    for closes in [false, true] {
        let server = server().await;
        let parent = server.io.of_pattern("/room/{n}").unwrap();
        let (sender, mut acks) = log();
        parent.on_connection(move |socket: Socket| {
            let sender = sender.clone();
            async move {
                let _ = sender.send(socket.emit_with_ack::<String>("hello", &()).await.ok());
            }
        });
        let mut client = server.client().await;
        client.connect("/room/1").await;
        client.expect(r#"42/room/1,0["hello"]"#).await;
        if closes {
            assert!(server.io.close_namespace("/room/1"));
            client.expect("41/room/1,").await;
        } else {
            client.send("41/room/1,").await;
        }
        assert_eq!(acks.next().await, None);
        until(|| names(&parent).is_empty()).await;
        client.connect("/room/1").await;
        client.expect(r#"42/room/1,1["hello"]"#).await;
        client.burst(&[r#"43/room/1,0["late"]"#, r#"43/room/1,1["right"]"#]).await;
        assert_eq!(acks.next().await.as_deref(), Some("right"));
    }
}

#[tokio::test]
async fn an_empty_child_stays_if_cleanup_is_off() {
    let server = server_with(ServerConfig::default().cleanup_empty_child_namespaces(false)).await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let mut client = server.client().await;
    client.connect("/room/1").await;
    client.send("41/room/1,").await;
    client.fence().await;
    assert_eq!(names(&parent), ["/room/1"]);
}

#[tokio::test]
async fn dynamic_namespaces_are_limited() {
    let server = server_with(ServerConfig::default().max_dynamic_namespaces(2)).await;
    server.io.of_pattern("/room/{n}").unwrap();
    let mut client = server.client().await;
    client.connect("/room/1").await;
    client.connect("/room/2").await;
    refused(&mut client, "/room/3", "too many namespaces").await;
    client.send("41/room/1,").await;
    client.connect("/room/3").await;
    assert!(server.io.close_namespace("/room/2"));
    client.expect("41/room/2,").await;
    client.connect("/room/4").await;
    refused(&mut client, "/room/5", "too many namespaces").await;
}

#[tokio::test]
async fn close_namespace_disconnects_its_sockets() {
    let server = server().await;
    let closing = server.io.of("/closing");
    let mut reasons = disconnections(&closing);
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    closing.use_(move |socket: Socket| {
        let waits = waits.clone();
        async move {
            if socket.auth::<serde_json::Value>()?.get("waits").is_some() {
                waits.notified().await;
            }
            Done::Ok(())
        }
    });
    let mut client = server.client().await;
    client.connect("/closing").await;
    let mut undecided = server.client().await;
    undecided.send(r#"40/closing,{"waits":1}"#).await;
    undecided.fence().await;
    assert!(server.io.close_namespace("closing"));
    client.expect("41/closing,").await;
    assert_eq!(reasons.next().await, "server namespace disconnect");
    undecided.expect(r#"44/closing,{"message":"socket has been disconnected"}"#).await;
    refused(&mut client, "/closing", "Invalid namespace").await;
    client.fence().await;
    assert!(!server.io.close_namespace("/closing"));
    assert!(!server.io.close_namespace("/"));
    // The namespace may be created again.
    server.io.of("/closing");
    client.connect("/closing").await;
}

#[tokio::test]
async fn a_broadcast_of_a_parent_reaches_all_children() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    parent.on_connection(|socket: Socket| async move {
        if socket.param("n") == Some("2") {
            socket.join("some")?;
        }
        Done::Ok(())
    });
    let (mut one, _) = server.client_in("/room/1").await;
    let (mut two, _) = server.client_in("/room/2").await;
    let mut outside = server.client().await;
    parent.emit("all", &1).unwrap();
    parent.to("some").emit("some", &2).unwrap();
    parent.except("some").emit("others", &3).unwrap();
    parent.in_("some").local().emit("end", &()).unwrap();
    parent.except("some").emit("end", &()).unwrap();
    one.expect(r#"42/room/1,["all",1]"#).await;
    one.expect(r#"42/room/1,["others",3]"#).await;
    one.expect(r#"42/room/1,["end"]"#).await;
    two.expect(r#"42/room/2,["all",1]"#).await;
    two.expect(r#"42/room/2,["some",2]"#).await;
    two.expect(r#"42/room/2,["end"]"#).await;
    outside.fence().await;
}

#[tokio::test]
async fn listeners_for_new_namespaces_run() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.on_new_namespace(move |namespace| {
        let _ = sender.send(namespace.name().to_owned());
        if namespace.name() == "/panics" {
            panic!("contained");
        }
        namespace.on("added", || async { "by the hook" });
    });
    server.io.of("/static");
    server.io.of("/static");
    server.io.of("/panics");
    server.io.of_pattern("/room/{n}").unwrap();
    let mut client = server.client().await;
    client.connect("/room/1").await;
    client.send(r#"42/room/1,1["added"]"#).await;
    client.expect(r#"43/room/1,1["by the hook"]"#).await;
    assert_eq!(log.rest(), ["/static", "/panics", "/room/1"]);
}

/// Middlewares that the listener adds apply to every client, including one that connects at the
/// same instant.
#[tokio::test]
async fn no_client_enters_before_the_listeners_have_returned() {
    let server = server().await;
    let (told, mut being_told) = log();
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    server.io.on_new_namespace(move |namespace| {
        told.send(namespace.name().to_owned()).unwrap();
        waits.lock().unwrap().recv_timeout(support::HANG).unwrap();
        namespace.use_(|| async { Done::Err(HandlerError::public("members only")) });
    });
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let mut stays = server.client().await;
    let mut leaves = server.client().await;
    for (name, more) in [("/static", 0), ("/room/1", 1)] {
        let io = server.io.clone();
        let naming = std::thread::spawn(move || io.of(name).name().to_owned());
        assert_eq!(being_told.next().await, name);
        for client in [&mut stays, &mut leaves] {
            client.send(&format!("40{name},")).await;
            client.fence().await;
        }
        leaves.send(&format!("41{name},")).await;
        leaves.fence().await;
        go.send(()).unwrap();
        stays.expect(&format!(r#"44{name},{{"message":"members only"}}"#)).await;
        leaves.fence().await;
        assert_eq!(naming.join().unwrap(), name);
        assert_eq!(parent.children().len(), more);
    }
}

/// The last client leaves while another enters. No client may be in a namespace that is not listed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_client_stays_in_a_removed_namespace() {
    let server = Arc::new(server().await);
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let listed = parent.clone();
    parent.on("listed", move |socket: Socket| {
        let found = listed.children().iter().any(|it| it.socket(socket.id()).is_some());
        async move { found }
    });
    async fn visits(server: Arc<Running>) {
        let mut client = server.open().await;
        for _ in 0..25 {
            client.connect("/room/1").await;
            client.send(r#"42/room/1,0["listed"]"#).await;
            client.expect("43/room/1,0[true]").await;
            client.send("41/room/1,").await;
        }
        client.close().await;
    }
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(visits(server.clone()))).collect();
    for client in clients {
        within(client).await.unwrap();
    }
    until(|| parent.children().is_empty()).await;
}
