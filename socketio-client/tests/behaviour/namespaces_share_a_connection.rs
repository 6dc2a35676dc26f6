//! Namespaces over one connection, and sockets found by URL.

use socketio_client::{Client, ConnectError, Socket};
use socketio_server::{Args, Server};

use crate::support::{Network, URL, connection_events, log, settle, within};

fn server() -> Server {
    let io = Server::new();
    for nsp in ["/", "/chat", "/news"] {
        io.of(nsp).on("where?", move |_: Args| async move { nsp });
    }
    io
}

#[tokio::test(start_paused = true)]
async fn a_name_with_a_comma_is_refused_without_harm_to_other_namespaces() {
    let io = Server::new();
    let network = Network::new(&io);
    let manager = network.manager();
    let (socket, comma) = (manager.socket("/"), manager.socket("a,b"));
    within(socket.connect()).await.unwrap();
    let id = socket.id();
    let error = within(comma.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Namespace(_)), "{error:?}");
    assert!(!comma.is_active());
    settle().await;
    assert_eq!((socket.id(), network.dialed()), (id, 1));

    // Without another socket, the connection closes as after a refusal.
    let alone = network.socket("/a,b");
    within(alone.connect()).await.unwrap_err();
    within(alone.manager().closed()).await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_use_one_connection() {
    let io = server();
    let network = Network::new(&io);
    let manager = network.manager();
    for nsp in ["/", "/chat", "/news"] {
        let socket = manager.socket(nsp);
        within(socket.connect()).await.unwrap();
        assert_eq!(socket.emit_with_ack::<String>("where?", &()).await.unwrap(), nsp);
    }
    assert_eq!(network.dialed(), 1);
    assert_eq!(manager.socket("chat").id(), manager.socket("/chat").id());

    let (chat, news) = (manager.socket("/chat"), manager.socket("/news"));
    let (mut chats, mut newses) = (connection_events(&chat), connection_events(&news));
    chat.disconnect();
    settle().await;
    assert!(news.is_connected() && manager.is_open());
    network.cut();
    assert_eq!(newses.take(2).await, ["disconnect: transport close", "connect"]);
    assert_eq!(chats.rest(), ["disconnect: io client disconnect"]);
    news.disconnect();
    manager.socket("/").disconnect();
    settle().await;
    assert!(!manager.is_open(), "the last one closes the connection");
}

#[tokio::test(start_paused = true)]
async fn a_client_finds_the_connection_by_url() {
    let io = server();
    let network = Network::new(&io);
    let client = Client::with_config(network.config().auto_connect(true));
    let chat = client.socket(&format!("{URL}/chat")).unwrap();
    let news = client.socket(&format!("{URL}:80/news?x=1")).unwrap();
    within(chat.connect()).await.unwrap();
    within(news.connect()).await.unwrap();
    assert_eq!(network.dialed(), 1);
    let again = client.socket(&format!("{URL}/chat")).unwrap();
    within(again.connect()).await.unwrap();
    assert_ne!(again.id(), chat.id());
    let alone = client.new_socket(&format!("{URL}/")).unwrap();
    within(alone.connect()).await.unwrap();
    let elsewhere = client.socket("http://other.test/chat").unwrap();
    within(elsewhere.connect()).await.unwrap();
    assert_eq!(network.dialed(), 4);
    drop((chat, news));
    settle().await;
    let anew = client.socket(&format!("{URL}/chat")).unwrap();
    within(anew.connect()).await.unwrap();
    assert_eq!(network.dialed(), 5);
}

#[tokio::test(start_paused = true)]
async fn namespaces_can_have_separate_connections() {
    let io = server();
    let network = Network::new(&io);
    let client = Client::with_config(network.config().multiplex(false));
    let sockets = ["/chat", "/news"].map(|nsp| client.socket(&format!("{URL}{nsp}")).unwrap());
    for socket in &sockets {
        within(socket.connect()).await.unwrap();
    }
    assert_eq!(network.dialed(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_events_of_sockets_that_disconnect_together_arrive() {
    let io = Server::new();
    let (sender, mut seen) = log();
    for nsp in ["/a", "/b", "/c"] {
        let sender = sender.clone();
        io.of(nsp).on("bye", move || {
            let _ = sender.send(nsp);
            async {}
        });
    }
    for dropped in [false, true] {
        let manager = Network::new(&io).manager();
        let sockets = ["/a", "/b", "/c"].map(|nsp| manager.socket(nsp));
        for socket in &sockets {
            within(socket.connect()).await.unwrap();
        }
        for socket in &sockets {
            socket.emit("bye", &()).unwrap();
        }
        sockets.iter().for_each(Socket::disconnect);
        if dropped {
            drop((manager, sockets));
        } else {
            within(manager.closed()).await;
        }
        let mut names = seen.take(3).await;
        names.sort_unstable();
        assert_eq!(names, ["/a", "/b", "/c"]);
    }
}
