//! Listeners, operations on sockets and server-side events of a parent namespace apply to all its
//! children.

use crate::support;

use socketio_server::{Event, MemoryCluster, ServerConfig, ServerEvent, Socket};
use support::{Done, log, server, server_with, until, within};

const MOVED: Event<(i32, i32)> = Event::new("moved");

#[tokio::test]
async fn a_once_handler_runs_once_in_each_child() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    parent.once("first", || async { 1 }).on("first", || async { 2 });
    parent.on("gone", || async { 1 }).off("gone").on("gone", || async { 2 });
    let mut client = server.open().await;
    for name in ["/room/1", "/room/2"] {
        client.connect(name).await;
        for (id, answer) in [(0, 1), (1, 2)] {
            client.send(&format!(r#"42{name},{id}["first"]"#)).await;
            client.expect(&format!("43{name},{id}[{answer}]")).await;
        }
    }
    client.send(r#"42/room/1,2["gone"]"#).await;
    client.expect("43/room/1,2[2]").await;
}

#[tokio::test]
async fn listeners_of_all_events_apply_to_children() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let (sender, mut log) = log();
    let told = |what: &'static str| {
        let sender = sender.clone();
        move || {
            let _ = sender.send(what.to_owned());
            async {}
        }
    };
    let outgoing = |what: &'static str| {
        let sender = sender.clone();
        move |socket: &Socket, args: &socketio_server::Args| {
            let _ = sender.send(format!("{what} {} {}", socket.nsp(), args.event()));
        }
    };
    parent.on_any(told("removed")).off_any();
    parent.on_any(told("second")).prepend_any(told("first"));
    parent.on_any_outgoing(outgoing("removed")).off_any_outgoing();
    parent.on_any_outgoing(outgoing("out"));
    parent.on("ask", || async { "answer" });
    let (mut client, _) = server.client_in("/room/1").await;
    parent.emit("news", &1).unwrap();
    client.expect(r#"42/room/1,["news",1]"#).await;
    client.send(r#"42/room/1,1["ask"]"#).await;
    client.expect(r#"43/room/1,1["answer"]"#).await;
    assert_eq!(log.rest(), ["out /room/1 news", "first", "second"]);
}

#[tokio::test]
async fn broadcasts_of_a_parent_reach_all_children() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    parent.on_connection(|socket: Socket| async move { Done::Ok(socket.join("here")?) });
    let (mut one, _) = server.client_in("/room/1").await;
    let (mut two, _) = server.client_in("/room/2").await;
    // The volatile event is dropped if another one is being written.
    parent.volatile().emit("volatile", &()).unwrap();
    one.expect(r#"42/room/1,["volatile"]"#).await;
    two.expect(r#"42/room/2,["volatile"]"#).await;
    parent.send(&"hello").unwrap();
    parent.emit_event(MOVED, &(3, 4)).unwrap();
    parent.to("here").send(&1).unwrap();
    parent.to("here").emit_event(MOVED, &(5, 6)).unwrap();
    parent.local().emit("local", &()).unwrap();
    parent.compress(false).emit("plain", &()).unwrap();
    for (client, nsp) in [(&mut one, "/room/1"), (&mut two, "/room/2")] {
        for event in [
            r#""message","hello""#,
            r#""moved",3,4"#,
            r#""message",1"#,
            r#""moved",5,6"#,
            r#""local""#,
            r#""plain""#,
        ] {
            client.expect(&format!("42{nsp},[{event}]")).await;
        }
    }
}

#[tokio::test]
async fn operations_on_sockets_apply_to_all_children() {
    let server = server().await;
    let parent = server.io.of_pattern("/room/{n}").unwrap();
    let (mut one, _) = server.client_in("/room/1").await;
    let (mut two, id) = server.client_in("/room/2").await;
    let mut outside = server.client().await;
    assert_eq!(parent.sockets_count(), 2);
    parent.sockets_join(["a", "b"]).unwrap();
    parent.to("a").sockets_leave("b").unwrap();
    parent.except(id.as_str()).sockets_join("c").unwrap();
    parent.to("b").emit("nobody", &()).unwrap();
    parent.to("c").emit("one", &()).unwrap();
    parent.sockets_leave("c").unwrap();
    parent.to("c").emit("nobody", &()).unwrap();
    parent.to("a").disconnect_sockets().unwrap();
    one.expect(r#"42/room/1,["one"]"#).await;
    one.expect("41/room/1,").await;
    two.expect("41/room/2,").await;
    one.connect("/room/3").await;
    parent.close_connections().unwrap();
    one.rest().await;
    two.connect("/room/2").await;
    outside.fence().await;
}

#[tokio::test]
async fn server_side_events_of_a_parent_reach_its_children() {
    let cluster = MemoryCluster::new();
    let (sender, mut log) = log();
    let mut servers = Vec::new();
    for n in 0..2 {
        let server = server_with(ServerConfig::default().adapter(cluster.adapter())).await;
        let parent = server.io.of_pattern("/room/{n}").unwrap();
        for (listens, name) in [(true, "any"), (false, "one")] {
            let sender = sender.clone();
            let handler = move |event: ServerEvent| {
                let _ = sender.send(format!("{n} {name} {}", event.data::<u32>().unwrap()));
                async { Ok(()) }
            };
            match listens {
                true => parent.on_any_server_side(handler),
                false => parent.on_server_side("hello", handler),
            };
        }
        within(server.io.of("/room/1").joined()).await;
        servers.push((server, parent));
    }
    until(|| cluster.reaches(1, "/room/1", "x")).await;
    servers[0].1.server_side_emit("hello", &7).unwrap();
    let mut seen = vec![log.next().await, log.next().await];
    seen.sort();
    assert_eq!(seen, ["1 any 7", "1 one 7"]);
}
