//! Events that the server emits right before it ends a socket, a connection or itself arrive in
//! order, over every transport.

use std::time::Duration;

use socketio_client::{Data, Manager, Reconnection, Transport};
use socketio_server::{Ack, Server, Socket as Peer};

use crate::support::{Network, URL, log, within};

const EVENTS: u32 = 30;

#[derive(Clone, Copy, Debug)]
enum End {
    Socket,
    Connection,
    Sockets,
    Namespace,
    Server,
    Drain,
}

fn finish(io: &Server, peer: &Peer, end: End) {
    for n in 0..EVENTS {
        peer.emit("last", &n).unwrap();
    }
    match end {
        End::Socket => peer.disconnect(),
        End::Connection => peer.close_connection(),
        End::Sockets => io.of("/ends").close_connections().unwrap(),
        End::Namespace => assert!(io.close_namespace("/ends")),
        End::Server => io.close(),
        End::Drain => {
            let io = io.clone();
            tokio::spawn(async move { io.drain(Duration::from_secs(1)).await });
        }
    }
}

async fn arrive(end: End, transports: &[Transport], at_once: bool) {
    let io = Server::new();
    let ends = io.of("/ends");
    if at_once {
        let server = io.clone();
        ends.on_connection(move |peer: Peer| {
            finish(&server, &peer, end);
            async {}
        });
    }
    let server = io.clone();
    ends.on("end", move |peer: Peer, ack: Ack| {
        ack.send("answered").unwrap();
        finish(&server, &peer, end);
        async {}
    });
    let network = Network::new(&io);
    let config = network.polling().engine(|engine| engine.transports(transports.to_vec()));
    let manager = Manager::with_config(URL, config.reconnection(Reconnection::off())).unwrap();
    let socket = manager.socket("/ends");
    let (sender, mut seen) = log();
    socket.on("last", move |Data(n): Data<u32>| {
        let _ = sender.send(n);
        async {}
    });
    let (sender, mut left) = log();
    socket.on_disconnect(move || {
        let _ = sender.send(());
        async {}
    });
    if at_once {
        socket.open();
    } else {
        within(socket.connect()).await.unwrap();
        let answer: String = within(socket.emit_with_ack("end", &())).await.unwrap();
        assert_eq!(answer, "answered");
    }
    left.next().await;
    let seen = seen.rest();
    assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>(), "{end:?} {transports:?} at once {at_once}");
}

#[tokio::test(start_paused = true)]
async fn events_arrive_before_every_kind_of_end() {
    for end in [End::Socket, End::Connection, End::Sockets, End::Namespace, End::Server, End::Drain]
    {
        for transports in [
            &[Transport::Polling][..],
            &[Transport::WebSocket],
            &[Transport::Polling, Transport::WebSocket],
        ] {
            arrive(end, transports, true).await;
            arrive(end, transports, false).await;
        }
    }
}
