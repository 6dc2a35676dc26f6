//! Several namespaces share a connection independently, up to a limit.

use crate::support;

use socketio_server::{Data, Limits, Parser, Server, ServerConfig, Socket};
use support::{disconnections, fence, log, server, server_with, sockets, within};

#[tokio::test]
async fn a_namespace_has_its_own_sockets_rooms_and_handlers() {
    let server = server().await;
    let (one, two) = (server.io.of("/one"), server.io.of("two"));
    assert_eq!((one.name(), two.name()), ("/one", "/two"));
    let (mut ones, mut twos) = (sockets(&one), sockets(&two));
    one.on("who", |socket: Socket| async move { socket.nsp().to_string() });
    two.on("who", |Data(n): Data<u32>| async move { n });
    let mut client = server.open().await;
    let (sid_one, sid_two) = (client.connect("/one").await, client.connect("/two").await);
    assert_ne!(sid_one, sid_two);
    let socket_one = within(ones.recv()).await.unwrap();
    let socket_two = within(twos.recv()).await.unwrap();
    assert_eq!((socket_one.id(), socket_two.id()), (&*sid_one, &*sid_two));
    assert_eq!(socket_one.conn().sid(), socket_two.conn().sid());

    client.send(r#"42/one,1["who"]"#).await;
    client.expect(r#"43/one,1["/one"]"#).await;
    client.send(r#"42/two,1["who",5]"#).await;
    client.expect("43/two,1[5]").await;

    socket_one.join("room").unwrap();
    two.to("room").emit("nobody", &()).unwrap();
    two.to(sid_one.as_str()).emit("nobody", &()).unwrap();
    one.to("room").emit("hi", &()).unwrap();
    client.expect(r#"42/one,["hi"]"#).await;
    assert!(one.socket(&sid_two).is_none());
    assert_eq!(one.socket(&sid_one).unwrap().id(), sid_one);
}

/// The server finds more than 16 namespaces of a client by an index.
#[tokio::test]
async fn sockets_of_many_namespaces_disconnect_in_the_order_of_their_connections() {
    let server = server().await;
    let (ended, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..40 {
        let ended = ended.clone();
        let namespace = server.io.of(&format!("/{number}"));
        fence(&namespace);
        namespace.on_disconnect(move |socket: Socket| {
            let _ = ended.send(socket.nsp().to_string());
            async {}
        });
    }
    let mut next = async || within(order.recv()).await.unwrap();
    let mut client = server.open().await;
    for number in 0..40 {
        client.connect(&format!("/{number}")).await;
    }
    client.send("41/3,").await;
    assert_eq!(next().await, "/3");
    server.io.of("/20").disconnect_sockets().unwrap();
    assert_eq!(next().await, "/20");
    client.expect("41/20,").await;
    client.connect("/3").await;
    for number in [3, 39] {
        client.send(&format!(r#"42/{number},1["fence"]"#)).await;
        client.expect(&format!("43/{number},1[]")).await;
    }
    drop(client);
    for number in (0..40).filter(|number| ![3, 20].contains(number)).chain([3]) {
        assert_eq!(next().await, format!("/{number}"));
    }
}

#[tokio::test]
async fn leaving_a_namespace_keeps_the_others() {
    let server = server().await;
    let (one, two) = (server.io.of("/one"), server.io.of("/two"));
    let (mut ones, mut twos) = (disconnections(&one), disconnections(&two));
    fence(&one);
    fence(&two);
    let mut connected = sockets(&two);
    let mut client = server.client().await;
    client.connect("/one").await;
    client.connect("/two").await;
    client.send("41/one,").await;
    assert_eq!(ones.next().await, "client namespace disconnect");
    client.send(r#"42/two,1["fence"]"#).await;
    client.expect("43/two,1[]").await;
    within(connected.recv()).await.unwrap().disconnect();
    client.expect("41/two,").await;
    assert_eq!(twos.next().await, "server namespace disconnect");
    client.fence().await;
    assert_eq!(
        (one.sockets_count(), two.sockets_count(), server.io.of("/").sockets_count()),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn acks_belong_to_one_namespace() {
    let server = server().await;
    let (one, two) = (server.io.of("/one"), server.io.of("/two"));
    let (mut ones, mut twos) = (sockets(&one), sockets(&two));
    let mut client = server.open().await;
    client.connect("/one").await;
    client.connect("/two").await;
    let (sender, mut log) = log();
    for (name, connected) in [("one", &mut ones), ("two", &mut twos)] {
        let socket = within(connected.recv()).await.unwrap();
        let sender = sender.clone();
        tokio::spawn(async move {
            let answer: String = socket.emit_with_ack("question", &()).await.unwrap();
            let _ = sender.send((name, answer));
        });
    }
    client.expect(r#"42/one,0["question"]"#).await;
    client.expect(r#"42/two,0["question"]"#).await;
    client.send(r#"43/two,0["b"]"#).await;
    assert_eq!(log.next().await, ("two", "b".to_owned()));
    client.send(r#"43/one,0["a"]"#).await;
    assert_eq!(log.next().await, ("one", "a".to_owned()));
}

#[tokio::test]
async fn namespaces_beyond_the_limit_are_refused() {
    let limits = Limits::default().max_namespaces(2);
    let server = server_with(ServerConfig::default().limits(limits)).await;
    for name in ["/a", "/b"] {
        server.io.of(name);
    }
    let mut client = server.client().await;
    client.connect("/a").await;
    client.send("40/b,").await;
    client.expect(r#"44/b,{"message":"too many namespaces"}"#).await;
    client.send("41/a,").await;
    client.connect("/b").await;
    client.fence().await;
}

#[tokio::test]
async fn the_auth_of_a_connection_is_limited() {
    let server = server_with(ServerConfig::default().max_auth_bytes(40)).await;
    for nsp in ["/a", "/b", "/c"] {
        server.io.of(nsp);
    }
    // A namespace that waits for its middlewares counts too.
    server.io.of("/waits").use_(std::future::pending::<support::Done>);
    let mut client = server.open().await;
    let auth = r#"{"token":"0123456"}"#;
    assert_eq!(auth.len(), 19);
    let too_large = |nsp: &str| format!(r#"44{nsp},{{"message":"auth larger than 40 bytes"}}"#);
    client.send(&format!("40/a,{auth}")).await;
    client.connected("/a").await;
    client.send(&format!("40/waits,{auth}")).await;
    client.send(&format!("40/b,{auth}")).await;
    client.expect(&too_large("/b")).await;
    client.send(r#"40/c,{}"#).await;
    client.connected("/c").await;
    // Leaving a namespace frees its bytes, so the client may request the refused namespace again.
    client.send("41/a,").await;
    client.send(&format!("40/b,{auth}")).await;
    client.connected("/b").await;
    client.send("41/waits,").await;
    let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(40));
    client.send(&format!("40/a,{long}")).await;
    client.expect(&too_large("/a")).await;
    assert_eq!(server.io.of("/a").sockets_count(), 0);
}

#[tokio::test]
async fn a_name_that_packets_cannot_carry_is_refused() {
    let server = server_with(ServerConfig::default()).await;
    let refused = server.io.try_of("/a,b").unwrap_err();
    assert_eq!(refused.to_string(), "a namespace must not contain a comma: `/a,b`");
    // The namespace of an unusable literal takes no memory of the server, and nobody can enter it.
    let outside = server.io.of("/a,b");
    assert!(!server.io.close_namespace("/a,b"), "the name was declared");
    outside.emit("news", &1).unwrap();
    assert_eq!(outside.sockets_count(), 0);

    let config = ServerConfig::default().parser(Parser::MsgPack);
    assert_eq!(Server::with_config(config).try_of("/a,b").unwrap().name(), "/a,b");
}
