//! `Server::close` ends every socket, with its reason, every connection and every task.

use crate::support;

use std::net::TcpListener;

use socketio_server::{Server, Socket};
use support::{Done, disconnections, fence, server, until, within};

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn listen_returns_and_no_task_is_left() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let io = Server::new();
    fence(&io.of("/"));
    let other = io.of("/other");
    other.use_(std::future::pending::<()>);
    io.on("stay", |socket: Socket| async move { socket.disconnected().await });
    io.on("ask", |socket: Socket| async move {
        socket.emit_with_ack::<()>("question", &()).await?;
        Done::Ok(())
    });
    let mut reasons = disconnections(&io.of("/"));
    let before = tasks();
    let listening = tokio::spawn({
        let io = io.clone();
        async move { io.listen(address).await }
    });
    until(|| std::net::TcpStream::connect(address).is_ok()).await;

    let server = support::Running { io: io.clone(), address };
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = server.client().await;
        // There are waiting handlers, an awaited ack and an undecided CONNECT.
        client.burst(&[r#"42["stay"]"#, r#"42["ask"]"#, "40/other,"]).await;
        client.text().await;
        clients.push(client);
    }
    let idle = server.open().await;

    io.close();
    within(listening).await.unwrap().unwrap();
    for _ in &clients {
        assert_eq!(reasons.next().await, "server shutting down");
    }
    for client in &mut clients {
        client.closed().await;
    }
    drop((clients, idle));
    until(|| tasks() == before).await;
    assert_eq!(io.engine().clients_count(), 0);
    assert_eq!(io.of("/").sockets_count() + other.sockets_count(), 0);
    assert!(reasons.rest().is_empty());
}

#[tokio::test]
async fn a_client_of_a_closed_server_is_refused() {
    let server = server().await;
    server.io.close();
    let (status, body) = server.request("GET", "", "").await;
    assert_eq!((status, &*body), (503, r#"{"code":6,"message":"Server shutting down"}"#));
    assert_eq!(server.io.engine().clients_count(), 0);
    within(server.io.listen("127.0.0.1:0")).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_ends_leaves_no_task() {
    let server = server().await;
    let before = tasks();
    for end in ["41", "4abc", "1"] {
        let mut client = server.client().await;
        client.send(end).await;
        client.close().await;
    }
    server.client().await.reset();
    until(|| tasks() == before).await;
    assert_eq!(server.io.engine().clients_count(), 0);
}

/// The runtime is dropped while clients are connected. No call waits forever.
#[test]
fn a_runtime_that_is_dropped_ends_the_sockets() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (socket, server, client) = runtime.block_on(async {
        let server = server().await;
        let mut connected = support::sockets(&server.io.of("/"));
        let client = server.client().await;
        (within(connected.recv()).await.unwrap(), server, client)
    });
    let own = socket.clone();
    socket.on("x", move || {
        drop(own.clone());
        async {}
    });
    let (asked, everybody) = (socket.clone(), server.io.clone());
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let one = asked.emit_with_ack::<()>("question", &());
            let many = everybody.emit_with_ack::<()>("question", &());
            within(async { tokio::join!(asked.disconnected(), one, many) }).await
        })
    });
    let _client = runtime.block_on(async {
        let mut client = client;
        client.text().await;
        client.text().await;
        client
    });
    drop(runtime);
    let ((), one, many) = waiting.join().unwrap();
    assert!(one.is_err() && many.is_err());
    assert!(!socket.is_connected());
    assert_eq!(server.io.of("/").sockets_count(), 0);
}
