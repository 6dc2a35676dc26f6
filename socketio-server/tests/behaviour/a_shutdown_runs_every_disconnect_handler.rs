//! `listen` returns after the last handler has run and the last byte was sent, so a program may end
//! then.

use crate::support;

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use socketio_server::Server;
use support::{Running, fence, until};

const CLIENTS: usize = 100;

#[tokio::test]
async fn disconnect_handlers_finish_before_listen_returns() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let io = Server::new();
    fence(&io.of("/"));
    let count = ended.clone();
    io.on_disconnect(move || {
        let count = count.clone();
        async move {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    // The runtime ends with `listen`, like that of a program.
    let program = std::thread::spawn({
        let io = io.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(io.listen(address)).unwrap();
        }
    });
    until(|| std::net::TcpStream::connect(address).is_ok()).await;
    let server = Running { io: io.clone(), address };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.client().await);
    }
    io.close();
    for client in &mut clients {
        client.closed().await;
    }
    drop(clients);
    program.join().unwrap();
    assert_eq!(ended.load(Ordering::Relaxed), CLIENTS);
}
