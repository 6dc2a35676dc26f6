//! Calls on handles that outlive the runtime of their connection do not hang.

use socketio_client::{AckError, ConnectError, EmitError, Manager, SocketConfig};
use socketio_server::Server;
use tokio::runtime::{Builder, Runtime};

use crate::support::{Network, within};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn calls_after_the_end_of_the_runtime_return() {
    let io = Server::new();
    let network = Network::new(&io);
    let (first, second) = (runtime(), runtime());
    let socket = first.block_on(async { network.manager().socket("/") });
    let mut events = socket.events();
    first.block_on(within(socket.connect())).unwrap();
    let waiting = socket.clone();
    drop(first);
    second.block_on(async {
        assert!(matches!(within(waiting.connect()).await, Err(ConnectError::Stopped)));
        assert!(matches!(within(waiting.connected()).await, Err(ConnectError::Stopped)));
        assert!(!waiting.is_connected() && !waiting.manager().is_open());
        within(waiting.manager().closed()).await;
        assert!(within(events.next()).await.is_none());
        let mut later = waiting.events();
        assert!(within(later.next()).await.is_none());
        let error = within(waiting.emit_with_ack::<()>("a", &())).await.unwrap_err();
        assert!(matches!(error, AckError::Emit(EmitError::Stopped)), "{error}");
        within(waiting.ready()).await;
    });
}

#[test]
fn events_that_wait_for_the_connection_fail_with_the_end_of_the_runtime() {
    for config in [SocketConfig::default(), SocketConfig::default().retries(2)] {
        let network = Network::new(&Server::new());
        let (first, second) = (runtime(), runtime());
        let manager: Manager = first.block_on(async { network.manager() });
        let socket = manager.socket_with("/", config);
        second.block_on(async {
            let asking = socket.clone();
            let asked = tokio::spawn(async move { asking.emit_with_ack::<()>("a", &()).await });
            tokio::task::yield_now().await;
            drop(std::thread::spawn(move || drop(first)).join());
            let error = within(asked).await.unwrap().unwrap_err();
            assert!(matches!(error, AckError::Emit(EmitError::Stopped)), "{error:?}");
            let error = socket.emit("a", &()).unwrap_err();
            assert!(matches!(error, EmitError::Stopped), "{error:?}");
        });
    }
}

#[test]
fn calls_before_the_end_of_the_runtime_return() {
    let io = Server::new();
    let network = Network::new(&io);
    network.freeze(true);
    let (first, second) = (runtime(), runtime());
    let manager: Manager = first.block_on(async { network.manager() });
    let socket = manager.socket("/");
    let (waiting, closing) = (socket.clone(), manager.clone());
    second.block_on(async {
        let connecting = tokio::spawn(async move { waiting.connect().await });
        let closed = tokio::spawn(async move { closing.closed().await });
        tokio::task::yield_now().await;
        drop(std::thread::spawn(move || drop(first)).join());
        assert!(matches!(within(connecting).await.unwrap(), Err(ConnectError::Stopped)));
        within(closed).await.unwrap();
    });
}
