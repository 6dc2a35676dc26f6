//! A broadcast reaches all sockets, rooms, or all except some rooms. Each recipient gets it once.

use crate::support;

use socketio_server::{Broadcast, Socket};
use support::{Client, Running, server, sockets, within};

/// Three clients: `a` in rooms one and two, `b` in two and three, `c` in none.
struct Three {
    server: Running,
    sockets: Vec<Socket>,
    clients: Vec<Client>,
}

async fn three() -> Three {
    let server = server().await;
    let mut connected = sockets(&server.io.of("/"));
    let (mut sockets, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        clients.push(server.client().await);
        sockets.push(within(connected.recv()).await.unwrap());
    }
    sockets[0].join(["one", "two"]).unwrap();
    sockets[1].join(vec!["two", "three"]).unwrap();
    Three { server, sockets, clients }
}

impl Three {
    /// Returns the clients that get a broadcast, each exactly once.
    async fn who(&mut self, broadcast: Broadcast) -> String {
        broadcast.emit("cast", &1).unwrap();
        let mut who = String::new();
        for (client, name) in self.clients.iter_mut().zip("abc".chars()) {
            client.send(r#"42999["fence"]"#).await;
            let mut text = client.text().await;
            if text == r#"42["cast",1]"# {
                who.push(name);
                text = client.text().await;
            }
            assert_eq!(text, "43999[]");
        }
        who
    }
}

#[tokio::test]
async fn broadcasts_of_the_server_reach_the_selected_sockets() {
    let mut three = three().await;
    let io = three.server.io.clone();
    let id = |at: usize| three.sockets[at].id().to_owned();
    let (a, c) = (id(0), id(2));
    for (broadcast, who) in [
        (io.local(), "abc"),
        (io.to("one"), "a"),
        (io.in_("two"), "ab"),
        (io.to("one").to("two").to("three"), "ab"),
        (io.to(["three", "one"]), "ab"),
        (io.to("nobody"), ""),
        (io.to(a.clone()), "a"),
        (io.to([a.clone(), c.clone(), "three".to_owned()]), "abc"),
        (io.except("one"), "bc"),
        (io.except(a.clone()), "bc"),
        (io.except(["one", "three"]), "c"),
        (io.except(c).except("nobody"), "ab"),
        (io.to("two").except("one"), "b"),
        (io.to(["two", "three"]).except(a.clone()), "b"),
        (io.to(a.as_str()).except(a.as_str()), ""),
        (io.to("two").local().volatile(), "ab"),
    ] {
        let which = format!("{broadcast:?}");
        assert_eq!(three.who(broadcast).await, who, "{which}");
    }
}

#[tokio::test]
async fn broadcasts_of_a_socket_exclude_the_socket() {
    let mut three = three().await;
    let a = three.sockets[0].clone();
    for (broadcast, who) in [
        (a.broadcast(), "bc"),
        (a.local(), "bc"),
        (a.to("two"), "b"),
        (a.in_(["one", "two"]), "b"),
        (a.to("one"), ""),
        (a.to(a.id()), ""),
        (a.except("three"), "c"),
        (a.broadcast().volatile(), "bc"),
    ] {
        let which = format!("{broadcast:?}");
        assert_eq!(three.who(broadcast).await, who, "{which}");
    }
}

#[tokio::test]
async fn a_modifier_leaves_the_original_broadcast_unchanged() {
    let mut three = three().await;
    let base = three.server.io.to("two");
    let narrowed = base.clone().except("one");
    assert_eq!(three.who(narrowed).await, "b");
    assert_eq!(three.who(base.clone()).await, "ab");
    // The recipients are determined at each emit.
    three.sockets[2].join("two").unwrap();
    three.sockets[0].leave(["two", "unknown"]);
    assert_eq!(three.who(base.clone()).await, "bc");
    three.sockets[1].leave_all();
    assert_eq!(three.who(base).await, "c");
    assert_eq!(three.sockets[1].rooms().len(), 1);
}

#[tokio::test]
async fn attachments_reach_all_recipients() {
    let Three { server, sockets: _sockets, mut clients } = three().await;
    let data = socketio_server::Binary(vec![1, 2, 3].into());
    server.io.to(["one", "two"]).emit("picture", &("x", data)).unwrap();
    for client in &mut clients[..2] {
        client.expect(r#"451-["picture","x",{"_placeholder":true,"num":0}]"#).await;
        client.expect_binary(&[1, 2, 3]).await;
    }
    clients[2].fence().await;
}

#[tokio::test]
async fn reserved_names_are_refused() {
    let Three { server, sockets, mut clients } = three().await;
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener"] {
        assert!(server.io.emit(name, &()).is_err());
        assert!(sockets[0].emit(name, &()).is_err());
        assert!(sockets[0].broadcast().emit(name, &()).is_err());
        assert!(sockets[0].emit_with_ack::<()>(name, &()).await.is_err());
    }
    clients[0].fence().await;
}
