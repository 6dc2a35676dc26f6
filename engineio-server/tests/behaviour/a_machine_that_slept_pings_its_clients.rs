//! The monotonic clock stands still while the machine sleeps; the wall clock does not.

use crate::support;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use engineio_server::{CloseReason, Engine, EngineConfig};
use support::{Server, until, within};
use tokio::time::{Instant, timeout};

/// Where the wall clock of a test stands, in seconds more than the system's.
struct Wall(Arc<AtomicU64>);

impl Wall {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

async fn server(ahead: u64) -> (Server, Wall) {
    let seconds = Arc::new(AtomicU64::new(ahead));
    let wall = Wall(seconds.clone());
    let clock = move || SystemTime::now() + Duration::from_secs(seconds.load(Ordering::Relaxed));
    (Server::echo(EngineConfig::default().wall_clock(clock)).await, wall)
}

/// Opens a session. The task that compares the clocks has looked at them once.
async fn open(server: &Server) -> String {
    let sid = server.open().await;
    tokio::task::yield_now().await;
    sid
}

/// Waits for the next ping and answers it. Returns how many seconds it took.
async fn ping(server: &Server, sid: &str) -> u64 {
    let start = Instant::now();
    let answer = timeout(Duration::from_secs(30), server.get(sid)).await.unwrap();
    answer.is(200, "2");
    let waited = start.elapsed();
    server.post(sid, "3").await.is(200, "ok");
    waited.as_secs_f64().round() as u64
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_is_gone_when_the_machine_wakes_is_closed_after_one_ping_timeout() {
    let (mut server, wall) = server(0).await;
    let sid = open(&server).await;
    wall.set(3600);
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(24)).await;
    assert!(server.engine.client(&sid).is_some());
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
    assert_eq!(start.elapsed().as_secs(), 25);
    assert!(server.is_gone(&sid).await);
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_is_gone_when_the_machine_wakes_is_closed_after_one_ping_timeout() {
    let (server, wall) = server(0).await;
    let (mut websocket, sid) = server.websocket().await;
    wall.set(3600);
    let start = Instant::now();
    assert_eq!(websocket.text().await, "2");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(server.engine.client(&sid).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_there_when_the_machine_wakes_answers_a_ping_at_once() {
    let (server, wall) = server(0).await;
    let sid = open(&server).await;
    wall.set(3600);
    assert_eq!(ping(&server, &sid).await, 5);
    assert_eq!(ping(&server, &sid).await, 25);
    assert_eq!(server.engine.clients_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_sleep_brings_the_next_ping_forward_by_its_length() {
    let (server, wall) = server(0).await;
    let sid = open(&server).await;
    wall.set(10);
    assert_eq!(ping(&server, &sid).await, 15);
    assert_eq!(ping(&server, &sid).await, 25);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_ends_no_session() {
    let (server, wall) = server(1_000_000).await;
    let sid = open(&server).await;
    wall.set(0);
    assert_eq!(ping(&server, &sid).await, 25);
    for days in 1..20 {
        // The next comparison is at most 5 s away.
        wall.set(days * 86_400);
        assert!(ping(&server, &sid).await <= 5);
    }
    assert_eq!(server.engine.clients_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_clocks_are_compared_while_there_are_sessions() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (mut server, _wall) = server(0).await;
    until(|| tasks() > 0).await;
    let before = tasks();
    for _ in 0..3 {
        let first = server.open().await;
        let second = server.open().await;
        assert_eq!(tasks(), before + 3);
        for sid in [first, second] {
            within(server.post(&sid, "1")).await.is(200, "ok");
            server.closed().await;
        }
        until(|| tasks() == before).await;
    }
}

#[tokio::test]
async fn a_wall_clock_may_ask_the_engine() {
    let engine = Arc::new(OnceLock::<Engine>::new());
    let asked = Arc::new(AtomicU64::new(0));
    let clock = {
        let (engine, asked) = (engine.clone(), asked.clone());
        move || {
            let sessions = engine.get().map_or(0, Engine::clients_count);
            asked.fetch_add(sessions as u64, Ordering::Relaxed);
            SystemTime::now()
        }
    };
    let server = Server::echo(EngineConfig::default().wall_clock(clock)).await;
    assert!(engine.set(server.engine.clone()).is_ok());
    open(&server).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
