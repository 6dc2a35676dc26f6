//! Running handlers finish after a disconnection, and can detect it.

use crate::support;

use socketio_server::Socket;
use support::{log, server};

#[tokio::test]
async fn running_handlers_detect_the_disconnection_and_finish() {
    let server = server().await;
    let (sender, mut log) = log();
    server.io.on("watch", move |socket: Socket| {
        let sender = sender.clone();
        async move {
            let _ = sender.send("started");
            socket.disconnected().await;
            tokio::task::yield_now().await;
            // The socket is disconnected already, so this returns at once.
            socket.disconnected().await;
            let _ = sender.send("finished");
        }
    });
    type End = fn(support::Client);
    let ends: [End; 2] = [|client| client.reset(), drop];
    for end in ends {
        let mut client = server.client().await;
        client.send(r#"42["watch"]"#).await;
        assert_eq!(log.next().await, "started");
        end(client);
        assert_eq!(log.next().await, "finished");
    }
    // The connection remains.
    let mut client = server.client().await;
    client.send(r#"42["watch"]"#).await;
    assert_eq!(log.next().await, "started");
    client.send("41").await;
    assert_eq!(log.next().await, "finished");
    client.connect("/").await;
    client.fence().await;
}
