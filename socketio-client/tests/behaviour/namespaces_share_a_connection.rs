//! Namespaces over one connection, and sockets found by URL.

use socketio_client::Client;
use socketio_server::{Args, Server};

use crate::support::{Network, URL, life, settle, within};

fn server() -> Server {
    let io = Server::new();
    for nsp in ["/", "/chat", "/news"] {
        io.of(nsp).on("where?", move |_: Args| async move { nsp });
    }
    io
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
    assert_eq!(network.dialled(), 1);
    assert_eq!(manager.socket("chat").id(), manager.socket("/chat").id());

    let (chat, news) = (manager.socket("/chat"), manager.socket("/news"));
    let (mut chats, mut newses) = (life(&chat), life(&news));
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
    assert_eq!(network.dialled(), 1);
    let again = client.socket(&format!("{URL}/chat")).unwrap();
    within(again.connect()).await.unwrap();
    assert_ne!(again.id(), chat.id());
    let alone = client.new_socket(&format!("{URL}/")).unwrap();
    within(alone.connect()).await.unwrap();
    let elsewhere = client.socket("http://other.test/chat").unwrap();
    within(elsewhere.connect()).await.unwrap();
    assert_eq!(network.dialled(), 4);
    drop((chat, news));
    settle().await;
    let anew = client.socket(&format!("{URL}/chat")).unwrap();
    within(anew.connect()).await.unwrap();
    assert_eq!(network.dialled(), 5);
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
    assert_eq!(network.dialled(), 2);
}
