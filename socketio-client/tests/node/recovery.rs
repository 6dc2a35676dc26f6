//! Sessions that are recovered after the connection was lost.

use std::time::Duration;

use crate::support::{
    case::{Case, Via, client, info, on_servers},
    peer::{Program, Setting},
    proxy::{Line, Proxy},
    received, within,
};

on_servers!(nothing_is_missed_after_a_cut_line, a_left_session_is_not_recovered);

async fn nothing_is_missed_after_a_cut_line(program: Program) {
    for (parser, via) in [("json", Via::WebSocket), ("json", Via::Polling), ("json", Via::Upgrade)]
    {
        let server = Setting::new(program).with("RECOVERY", 1).with("PARSER", parser).start();
        let proxy = Proxy::start(server.port).await;
        let case = Case { program, parser, via };
        let socket = client(&proxy.url(), "/", case.config());
        let mut connects = received::connections(&socket);
        let mut numbers = received::events::<u32>(&socket, "n");
        let talker = client(&server.url(), "/", case.config());
        within(talker.connect()).await.unwrap();
        within(socket.connect()).await.unwrap();
        connects.next().await;
        via.reached(&socket).await;
        let (id, mut next) = (socket.id(), 0);
        for _ in 0..3 {
            talker.emit("tick", &(next, 10)).unwrap();
            for n in next..next + 10 {
                assert_eq!(numbers.next().await, n, "{via:?}");
            }
            // A server notices the end of a polling session by its pending GET, which must have
            // arrived.
            tokio::time::sleep(Duration::from_millis(100)).await;
            proxy.set(Line::Resets);
            // The server must have noticed the loss before the client returns.
            let noticed = async {
                while info(&talker).await.get("clients") != Some(&1.into()) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            within(noticed).await;
            talker.emit("tick", &(next + 10, 10)).unwrap();
            talker.emit_with_ack::<()>("ack", &()).await.unwrap();
            proxy.set(Line::Passes);
            connects.next().await;
            assert!(socket.is_recovered(), "{via:?}");
            assert_eq!(socket.id(), id);
            for n in next + 10..next + 20 {
                assert_eq!(numbers.next().await, n, "{via:?}");
            }
            next += 20;
            assert_eq!(info(&socket).await.get("recovered"), Some(&true.into()));
            via.reached(&socket).await;
        }
        assert!(numbers.take_received().is_empty());
    }
}

async fn a_left_session_is_not_recovered(program: Program) {
    let server = Setting::new(program).with("RECOVERY", 1).start();
    let socket = client(&server.url(), "/", Via::WebSocket.config());
    let mut numbers = received::events::<u32>(&socket, "n");
    within(socket.connect()).await.unwrap();
    socket.emit("tick", &(0, 1)).unwrap();
    numbers.next().await;
    let (id, mut ends) = (socket.id(), received::disconnections(&socket));
    socket.disconnect();
    ends.next().await;
    within(socket.connect()).await.unwrap();
    assert!(!socket.is_recovered());
    assert_ne!(socket.id(), id);
}
