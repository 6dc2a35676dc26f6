//! A node searches the collection for events from before it joined, page by page.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use engines::Mongo;
use socketio_adapter_mongodb::{
    MongoAdapter,
    mongodb::{Client, options::ClientOptions},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{
    Node, config_with,
    recovery::{MINUTE, node, session},
    suite::{until, within},
};

/// Passes connections on to MongoDB, and requests for a further page only as far as it is allowed.
struct Proxy {
    url: String,
    pages: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(engine: &Mongo) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = engine.port();
        let port = listener.local_addr().unwrap().port();
        let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let (pages, waiting) = (Arc::new(Semaphore::new(0)), Arc::<AtomicUsize>::default());
        let proxy = Self { url, pages: pages.clone(), waiting: waiting.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (mut requests, mut replies) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut replies).await });
                let (pages, waiting) = (pages.clone(), waiting.clone());
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(length @ 1..) = requests.read(&mut buffer).await {
                        let has =
                            |name: &[u8]| buffer[..length].windows(name.len()).any(|it| it == name);
                        // The change stream has no limit on its pages.
                        if has(b"getMore\0") && has(b"batchSize\0") {
                            waiting.fetch_add(1, Ordering::SeqCst);
                            pages.acquire().await.unwrap().forget();
                        }
                        to_server.write_all(&buffer[..length]).await.unwrap();
                    }
                });
            }
        });
        proxy
    }
}

#[tokio::test]
async fn a_client_waits_only_for_the_pages_of_events_that_it_missed() {
    let engine = Mongo::start().unwrap();
    let one = node(&engine, "one").await;
    let mut offsets = Vec::new();
    for number in 0..600 {
        offsets.push(one.log(&format!("{number}")).await);
    }
    one.store().persist(session(0), MINUTE).await.unwrap();
    let proxy = Proxy::start(&engine).await;
    let options = ClientOptions::parse(&proxy.url).await.unwrap();
    let events = Client::with_options(options).unwrap().database("test").collection("events");
    let adapter = MongoAdapter::new(config_with(events));
    let two = Node::join(adapter, "/", "two").await;
    // The first page is in the response to the search, and the second one does not come.
    assert_eq!(two.take(&offsets[599]).await, Some(session(0)));
    until(|| async { proxy.waiting.load(Ordering::SeqCst) == 1 }).await;
    one.store().persist(session(2), MINUTE).await.unwrap();
    assert_eq!(two.take(&offsets[500]).await, Some(session(2)));
    // A client that no longer waits does not end the search.
    one.store().persist(session(4), MINUTE).await.unwrap();
    let store = two.store();
    let gave_up = tokio::select! {
        _ = store.take("P", &offsets[0], None) => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(gave_up);
    proxy.pages.add_permits(10);
    assert_eq!(within(two.take(&offsets[0])).await, Some(session(4)));
    assert_eq!(proxy.waiting.load(Ordering::SeqCst), 2);
}
