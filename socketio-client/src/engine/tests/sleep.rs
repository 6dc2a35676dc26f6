//! A sleep of the machine stops the monotonic clock, but not the wall clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use super::*;
use engineio_server::EngineConfig as ServerConfig;

/// A wall clock that follows the monotonic clock, plus the seconds added to it.
fn wall_clock() -> (Arc<AtomicU64>, impl Fn() -> SystemTime + Send + Sync + 'static) {
    let slept = Arc::new(AtomicU64::new(0));
    let (start, wall, seconds) = (tokio::time::Instant::now(), SystemTime::now(), slept.clone());
    let clock =
        move || wall + start.elapsed() + Duration::from_secs(seconds.load(Ordering::Relaxed));
    (slept, clock)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_slept_through_its_heartbeat_accepts_no_packets() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let (slept, clock) = wall_clock();
        let mut engine = open(&network, only(via).wall_clock(clock)).await;
        assert!(engine.is_alive());
        slept.store(46, Ordering::Relaxed);
        assert!(!engine.is_alive(), "{via:?}");
        let before = tokio::time::Instant::now();
        assert_eq!(reason(&closed(&mut engine).await), CloseReason::PingTimeout);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_with_nothing_to_send_notices_that_it_slept() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let (slept, clock) = wall_clock();
        let mut engine = open(&network, only(via).wall_clock(clock)).await;
        slept.store(3600, Ordering::Relaxed);
        let end = tokio::time::timeout(Duration::from_secs(6), closed(&mut engine)).await;
        assert_eq!(reason(&end.unwrap()), CloseReason::PingTimeout, "{via:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_survives_a_short_sleep() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let (slept, clock) = wall_clock();
        let mut engine = open(&network, only(via).wall_clock(clock)).await;
        for nap in 1..20 {
            slept.store(nap * 10, Ordering::Relaxed);
            assert!(engine.is_alive());
            engine.send(text("x")).unwrap();
            assert_eq!(message(&mut engine).await, Data::Text("x".into()));
            assert!(matches!(event(&mut engine).await, EngineEvent::Ping), "{via:?} {nap}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_read_right_after_a_sleep_keeps_the_session_alive() {
    let network = Network::echo(ServerConfig::default());
    let (slept, clock) = wall_clock();
    let mut engine = open(&network, only(Transport::WebSocket).wall_clock(clock)).await;
    // The server's ping waits to be read when the machine wakes up.
    tokio::time::sleep(Duration::from_millis(25_100)).await;
    slept.store(3600, Ordering::Relaxed);
    assert!(matches!(event(&mut engine).await, EngineEvent::Ping));
    assert!(engine.is_alive());
    engine.send(text("x")).unwrap();
    assert_eq!(message(&mut engine).await, Data::Text("x".into()));
}
