//! Models of the places where threads meet in a session. `shuttle` runs the engine's own code in
//! many orders of threads, and fails if all of them wait for each other.
//!
//! `cargo xtask models` runs them. Tokio's clock stands still unless a model lets time pass, so that
//! no deadline hides a wake-up that was lost.

use std::{mem::ManuallyDrop, sync::Arc, time::Duration};

use bytes::Bytes;
use engineio_parser::{
    Revision, Transport,
    session::{Input, Unsent},
};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use shuttle::{
    Config, Runner,
    future::{JoinHandle, block_on, spawn},
    scheduler::{PctScheduler, RandomScheduler},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Runtime,
};

use crate::{
    Connection, Engine, EngineConfig, Event, Handle, PacketData,
    shared::now,
    transport::{MessageTransport, websocket::WebSocket},
};

thread_local! {
    /// The runtime of a model's threads, which are all on one thread of the system. Never dropped,
    /// because that would wake threads of a model that has failed.
    static RUNTIME: ManuallyDrop<Runtime> = {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        ManuallyDrop::new(runtime.enable_time().start_paused(true).build().unwrap())
    };
}

/// Runs a model in as many orders of threads as `SHUTTLE_ITERATIONS` says: half of them random,
/// half with few preemptions at random places.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let iterations = std::env::var("SHUTTLE_ITERATIONS").ok();
    let iterations = iterations.and_then(|text| text.parse().ok()).unwrap_or(200);
    RUNTIME.with(|runtime| {
        let _context = runtime.enter();
        let run = Arc::new(run);
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        let again = run.clone();
        Runner::new(RandomScheduler::new(iterations), config.clone()).run(move || again());
        Runner::new(PctScheduler::new(3, iterations), config).run(move || run());
    });
}

type Connections = std::sync::mpsc::Receiver<Connection>;

fn engine(config: EngineConfig) -> (Engine, Connections) {
    let (opened, connections) = std::sync::mpsc::channel();
    let engine = Engine::new(config, move |connection| {
        opened.send(connection).unwrap();
        async {}
    });
    (engine, connections)
}

async fn request(engine: &Engine, method: Method, sid: &str, body: &str) -> (u16, String) {
    let uri = format!("/engine.io/?EIO=4&transport=polling{sid}");
    let body = Full::new(Bytes::from(body.to_owned()));
    let request = Request::builder().method(method).uri(uri).body(body).unwrap();
    let response = engine.handle(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A long-polling client and the connection of its session.
fn open(engine: &Engine, connections: &Connections) -> (Connection, Handle, String) {
    let (status, _) = block_on(request(engine, Method::GET, "", ""));
    assert_eq!(status, 200);
    let connection = connections.try_recv().unwrap();
    let handle = connection.handle().clone();
    let sid = format!("&sid={}", handle.sid());
    (connection, handle, sid)
}

/// Waits for a task that also ends by a deadline.
fn join_in_time<T>(task: JoinHandle<T>) -> T {
    while !task.is_finished() {
        // A small step: other deadlines must not pass before the task has had its turns.
        RUNTIME.with(|runtime| runtime.block_on(tokio::time::sleep(Duration::from_millis(5))));
        shuttle::thread::yield_now();
    }
    block_on(task).unwrap()
}

/// Drives a connection to its end. Returns the messages that the application received.
fn drive(mut connection: Connection) -> JoinHandle<Vec<String>> {
    spawn(async move {
        let mut messages = Vec::new();
        loop {
            match connection.event().await {
                Event::Message(PacketData::Text(text)) => messages.push(text.to_string()),
                Event::Closed(_) => return messages,
                _ => {}
            }
        }
    })
}

/// Polls until `count` messages have arrived.
async fn poll(engine: &Engine, sid: &str, count: usize) -> Vec<String> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let (status, body) = request(engine, Method::GET, sid, "").await;
        assert_eq!(status, 200);
        messages.extend(
            body.split('\x1e').filter_map(|packet| packet.strip_prefix('4')).map(String::from),
        );
    }
    messages
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Sends numbered messages, and waits for room when the queue is full.
fn send(handle: &Handle, count: usize) -> JoinHandle<()> {
    let handle = handle.clone();
    spawn(async move {
        for text in numbers(count) {
            while handle.send(text.clone()).is_err() {
                if handle.is_closed() {
                    return;
                }
                handle.ready().await;
            }
        }
    })
}

/// A WebSocket and the client's end of its stream.
async fn websocket() -> (Box<MessageTransport>, DuplexStream) {
    let (mut client, server) = tokio::io::duplex(1024);
    let (upgraded, mut result) = tokio::sync::mpsc::unbounded_channel();
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let _ = upgraded.send(hyper::upgrade::on(&mut request));
        async {
            let response = http::Response::builder().status(101);
            let response = response.header("connection", "upgrade").header("upgrade", "websocket");
            Ok::<_, http::Error>(response.body(Full::<Bytes>::default())?)
        }
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(server), service)
        .with_upgrades()
        .await
        .unwrap();
    let upgraded = result.try_recv().unwrap().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let websocket = WebSocket::new(upgraded, Revision::V4, false, 1000, 10, None);
    (Box::new(MessageTransport::WebSocket(websocket)), client)
}

/// Reads one short text frame.
async fn read_frame(client: &mut DuplexStream) -> String {
    assert_eq!(client.read_u8().await.unwrap(), 0x81);
    let mut text = vec![0; client.read_u8().await.unwrap().into()];
    client.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// Writes one short text frame, with a mask of zeros.
async fn write_frame(client: &mut DuplexStream, text: &str) {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    client.write_all(&frame).await.unwrap();
}

/// Gives a session a WebSocket that wants to take it over.
fn begin_upgrade(handle: &Handle, websocket: Box<MessageTransport>) {
    handle.0.with(|state| {
        let probe = Input::ProbeStarted(Transport::WebSocket);
        state.session.handle_input(now(), probe).unwrap();
        state.arriving = Some(websocket);
    });
}

#[test]
fn messages_reach_a_get_whenever_it_begins() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default());
        let (connection, handle, sid) = open(&engine, &connections);
        let driver = drive(connection);
        let sender = send(&handle, 2);
        assert_eq!(block_on(poll(&engine, &sid, 2)), numbers(2));
        block_on(sender).unwrap();
        handle.close(Unsent::Discard);
        block_on(driver).unwrap();
        assert_eq!(engine.0.registry.len(), 0);
    });
}

#[test]
fn a_sender_that_waits_for_room_is_woken() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default().max_queued_packets(2));
        let (connection, handle, sid) = open(&engine, &connections);
        let driver = drive(connection);
        let sender = send(&handle, 5);
        assert_eq!(block_on(poll(&engine, &sid, 5)), numbers(5));
        block_on(sender).unwrap();
        handle.close(Unsent::Discard);
        block_on(driver).unwrap();
    });
}

#[test]
fn closing_a_session_ends_its_requests_and_waiting_senders() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default().max_queued_packets(2));
        let (connection, handle, sid) = open(&engine, &connections);
        let driver = drive(connection);
        let sender = send(&handle, 4);
        let poller = {
            let (engine, sid) = (engine.clone(), sid.clone());
            spawn(async move { while request(&engine, Method::GET, &sid, "").await.0 == 200 {} })
        };
        let poster = spawn(async move {
            for _ in 0..3 {
                request(&engine, Method::POST, &sid, "4post").await;
            }
        });
        shuttle::thread::yield_now();
        handle.close(Unsent::Discard);
        for task in [sender, poller, poster] {
            block_on(task).unwrap();
        }
        block_on(driver).unwrap();
    });
}

#[test]
fn messages_of_posts_reach_the_application_in_order() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default());
        let (connection, handle, sid) = open(&engine, &connections);
        let driver = drive(connection);
        let (former, sender) = (handle.clone(), send(&handle, 1));
        block_on(async {
            for body in ["40\x1e41", "42", "43\x1e44"] {
                assert_eq!(request(&engine, Method::POST, &sid, body).await.0, 200);
            }
            assert_eq!(poll(&engine, &sid, 1).await, numbers(1));
            // The client closes the session after its last message.
            assert_eq!(request(&engine, Method::POST, &sid, "1").await.0, 200);
        });
        block_on(sender).unwrap();
        assert_eq!(block_on(driver).unwrap(), numbers(5));
        assert!(former.is_closed());
    });
}

#[test]
fn messages_of_several_threads_reach_a_websocket() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default().max_queued_packets(2));
        let (mut connection, handle, _) = open(&engine, &connections);
        let (websocket, mut client) = block_on(websocket());
        begin_upgrade(&handle, websocket);
        block_on(async {
            write_frame(&mut client, "2probe").await;
            write_frame(&mut client, "5").await;
            assert!(matches!(connection.event().await, Event::Upgraded(_)));
        });
        let driver = drive(connection);
        assert_eq!(block_on(read_frame(&mut client)), "3probe");
        let senders = [send(&handle, 3), send(&handle, 3)];
        let mut received = block_on(async {
            let mut received = Vec::new();
            while received.len() < 6 {
                received.push(read_frame(&mut client).await);
            }
            received
        });
        received.sort();
        assert_eq!(received, ["40", "40", "41", "41", "42", "42"]);
        drop(client);
        block_on(driver).unwrap();
        for sender in senders {
            block_on(sender).unwrap();
        }
    });
}

#[test]
fn an_upgrade_loses_and_repeats_no_message() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default());
        let (connection, handle, sid) = open(&engine, &connections);
        let driver = drive(connection);
        let sender = send(&handle, 4);
        let (websocket, mut client) = block_on(websocket());
        let poller = {
            let (engine, handle) = (engine.clone(), handle.clone());
            spawn(async move {
                let mut messages = Vec::new();
                // A GET is answered by a noop when the upgrade is decided.
                while handle.transport() == Transport::Polling {
                    let (status, body) = request(&engine, Method::GET, &sid, "").await;
                    assert_eq!(status, 200);
                    let noop = body.split('\x1e').any(|packet| packet == "6");
                    let texts = body.split('\x1e').filter_map(|it| it.strip_prefix('4'));
                    messages.extend(texts.map(String::from));
                    if noop {
                        break;
                    }
                }
                messages
            })
        };
        begin_upgrade(&handle, websocket);
        block_on(async {
            write_frame(&mut client, "2probe").await;
            assert_eq!(read_frame(&mut client).await, "3probe");
        });
        // A GET that waits ends by a noop after 100 ms.
        let mut messages = join_in_time(poller);
        block_on(async {
            write_frame(&mut client, "5").await;
            while messages.len() < 4 {
                messages.push(read_frame(&mut client).await.split_off(1));
            }
        });
        assert_eq!(messages, numbers(4));
        block_on(sender).unwrap();
        drop(client);
        block_on(driver).unwrap();
    });
}

#[test]
fn no_session_outlives_the_engine() {
    model(|| {
        let (engine, connections) = engine(EngineConfig::default());
        let opener = {
            let engine = engine.clone();
            spawn(async move { request(&engine, Method::GET, "", "").await.0 })
        };
        engine.close();
        let status = block_on(opener).unwrap();
        match connections.try_recv() {
            Ok(connection) => {
                assert_eq!(status, 200);
                assert_eq!(join_in_time(drive(connection)), numbers(0));
            }
            Err(_) => assert_eq!(status, 503),
        }
        assert_eq!(engine.0.registry.len(), 0);
        block_on(engine.ended());
    });
}
