//! No client enters a child without its parent's function and middlewares, whichever side created
//! the child.

use crate::support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde::Deserialize;
use socketio_server::{
    Auth, HandlerError, NamespaceRequest, NamespaceVerdict, ParentNamespace, Server, Socket,
};
use support::{Client, Done, Running, server};

#[derive(Deserialize)]
struct Token {
    token: String,
}

fn check(token: &Token) -> Result<(), HandlerError> {
    if token.token == "secret" { Ok(()) } else { Err(HandlerError::public("not authorized")) }
}

/// Namespaces `/team-…` for clients that have the token.
fn teams(io: &Server) -> (ParentNamespace, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = asked.clone();
    let parent = io.of_fn(move |request: NamespaceRequest| {
        counts.fetch_add(1, Ordering::SeqCst);
        async move {
            if !request.name().starts_with("/team-") {
                return Ok(NamespaceVerdict::Pass);
            }
            check(&request.auth()?)?;
            Ok(NamespaceVerdict::Accept)
        }
    });
    (parent, asked)
}

async fn allowed(client: &mut Client, nsp: &str) {
    client.send(&format!(r#"40{nsp},{{"token":"secret"}}"#)).await;
    client.connected(nsp).await;
}

async fn refused(client: &mut Client, nsp: &str) {
    for (auth, message) in [(r#"{"token":"guess"}"#, "not authorized"), ("", "invalid auth")] {
        client.send(&format!("40{nsp},{auth}")).await;
        client.expect(&format!(r#"44{nsp},{{"message":"{message}"}}"#)).await;
    }
}

#[tokio::test]
async fn the_function_decides_on_every_connect() {
    let server = server().await;
    let (parent, asked) = teams(&server.io);
    let (mut one, mut two) = (server.open().await, server.open().await);
    refused(&mut two, "/team-1").await;
    assert_eq!(parent.children().len(), 0);
    allowed(&mut one, "/team-1").await;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    refused(&mut two, "/team-1").await;
    allowed(&mut two, "/team-1").await;
    assert_eq!(asked.load(Ordering::SeqCst), 6);
    assert_eq!(parent.children().len(), 1);
}

#[tokio::test]
async fn a_function_that_passes_refuses_clients_of_its_children() {
    let server = server().await;
    let parent = server.io.of_fn(|request: NamespaceRequest| async move {
        match request.auth::<Token>() {
            Ok(_) => Ok(NamespaceVerdict::Accept),
            Err(_) => Ok(NamespaceVerdict::Pass),
        }
    });
    let (mut one, mut two) = (server.open().await, server.open().await);
    allowed(&mut one, "/x").await;
    two.send("40/x,").await;
    two.expect(r#"44/x,{"message":"Invalid namespace"}"#).await;
    assert_eq!(parent.children().len(), 1);
}

#[tokio::test]
async fn the_function_decides_on_namespaces_that_the_application_declared() {
    let server = server().await;
    let (parent, _) = teams(&server.io);
    parent.use_(|socket: Socket| async move {
        socket.join("checked")?;
        Done::Ok(())
    });
    parent.on_connection(|socket: Socket| async move {
        socket.emit("welcome", &socket.rooms().len())?;
        Done::Ok(())
    });
    let named = server.io.of("/team-1");
    named.on("own", || async { "own" });
    server.io.of("/other").on("own", || async { "other" });
    let mut client = server.open().await;
    refused(&mut client, "/team-1").await;
    assert_eq!(parent.children().len(), 0);
    for round in 0..2 {
        allowed(&mut client, "/team-1").await;
        client.expect(r#"42/team-1,["welcome",2]"#).await;
        client.send(r#"42/team-1,1["own"]"#).await;
        client.expect(r#"43/team-1,1["own"]"#).await;
        assert_eq!(parent.children().len(), 1, "{round}");
        client.send("41/team-1,").await;
    }
    refused(&mut client, "/team-1").await;
    // A name that the function passes belongs to the application.
    client.connect("/other").await;
    client.send(r#"42/other,1["own"]"#).await;
    client.expect(r#"43/other,1["other"]"#).await;
    // The application's handle refers to the parent's child.
    allowed(&mut client, "/team-1").await;
    client.expect(r#"42/team-1,["welcome",2]"#).await;
    parent.emit("both", &1).unwrap();
    named.emit("both", &2).unwrap();
    client.expect(r#"42/team-1,["both",1]"#).await;
    client.expect(r#"42/team-1,["both",2]"#).await;
}

#[tokio::test]
async fn a_namespace_declared_before_the_parent_is_not_its_child() {
    let server = server().await;
    server.io.of("/team-public");
    let (_, asked) = teams(&server.io);
    server.io.of_regex("").unwrap().use_(|| async { Done::Err(HandlerError::public("no")) });
    let mut client = server.client().await;
    client.connect("/team-public").await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "not for the main namespace either");
}

#[tokio::test]
async fn middlewares_added_later_apply_to_existing_children() {
    let server = server().await;
    let parents = [
        ("/p-1", server.io.of_pattern("/p-{n}").unwrap()),
        ("/r-1", server.io.of_regex("^/r-").unwrap()),
    ];
    for (name, parent) in parents {
        parent.use_(|| async { Done::Ok(()) });
        let named = server.io.of(name);
        let own = Arc::new(AtomicUsize::new(0));
        let counts = own.clone();
        named.use_(move || {
            counts.fetch_add(1, Ordering::SeqCst);
            async { Done::Ok(()) }
        });
        parent.use_(|Auth(token): Auth<Token>| async move { check(&token) });
        let mut client = server.open().await;
        refused(&mut client, name).await;
        assert_eq!(own.load(Ordering::SeqCst), 0, "the parent's come first");
        allowed(&mut client, name).await;
        assert_eq!(own.load(Ordering::SeqCst), 1, "once");
    }
}

/// A parent that accepts the clients whose token is its name, refuses those with the token "not"
/// and its name, and passes all others. Counts the clients that its middleware lets in.
fn named(io: &Server, name: &'static str) -> Arc<AtomicUsize> {
    let parent = io.of_fn(move |request: NamespaceRequest| async move {
        let Token { token } = request.auth()?;
        match token {
            token if token == name => Ok(NamespaceVerdict::Accept),
            token if token == format!("not {name}") => Err(HandlerError::public("refused")),
            _ => Ok(NamespaceVerdict::Pass),
        }
    });
    let checked = Arc::new(AtomicUsize::new(0));
    let count = checked.clone();
    parent.use_(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Done::Ok(()) }
    });
    checked
}

/// Connects with each token, and checks the results.
async fn verdicts(io: &Running, checked: &[Arc<AtomicUsize>; 2], declared: bool) {
    let counts = || checked.each_ref().map(|count| count.swap(0, Ordering::SeqCst));
    counts();
    for (token, counted) in [("other", [0, 0]), ("one", [1, 0]), ("two", [0, 1])] {
        let mut client = io.open().await;
        client.send(&format!(r#"40/x,{{"token":"{token}"}}"#)).await;
        if declared || token == "one" {
            client.connected("/x").await;
            assert_eq!(counts(), counted, "{token}");
        } else {
            client.expect(r#"44/x,{"message":"Invalid namespace"}"#).await;
        }
    }
    for token in ["not one", "not two"] {
        let mut client = io.open().await;
        client.send(&format!(r#"40/x,{{"token":"{token}"}}"#)).await;
        match declared || token == "not one" {
            true => client.expect(r#"44/x,{"message":"refused"}"#).await,
            false => client.expect(r#"44/x,{"message":"Invalid namespace"}"#).await,
        }
    }
}

#[tokio::test]
async fn verdicts_on_a_declared_namespace_do_not_depend_on_earlier_clients() {
    let server = server().await;
    let checked = [named(&server.io, "one"), named(&server.io, "two")];
    server.io.of("/x");
    for _ in 0..2 {
        verdicts(&server, &checked, true).await;
    }
}

#[tokio::test]
async fn a_namespace_that_is_declared_after_its_first_client_counts_as_declared() {
    let server = server().await;
    let checked = [named(&server.io, "one"), named(&server.io, "two")];
    let mut first = server.open().await;
    first.send(r#"40/x,{"token":"one"}"#).await;
    first.connected("/x").await;
    verdicts(&server, &checked, false).await;
    server.io.of("/x");
    verdicts(&server, &checked, true).await;
}
