//! A sleep of the machine stops the monotonic clock, but not the wall clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::SystemTime,
};

use super::*;
use engineio_server::EngineConfig as ServerConfig;

/// A wall clock that follows the system's, plus the seconds added to it.
fn wall_clock() -> (Arc<AtomicU64>, impl Fn() -> SystemTime + Send + Sync + 'static) {
    let slept = Arc::new(AtomicU64::new(0));
    let seconds = slept.clone();
    let clock = move || SystemTime::now() + Duration::from_secs(seconds.load(Ordering::Relaxed));
    (slept, clock)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_slept_through_its_heartbeat_accepts_no_packets() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let (slept, clock) = wall_clock();
        let mut engine = open(&network, only(via).wall_clock(clock)).await;
        assert!(engine.is_alive());
        engine.start_turn();
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
            assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
            assert!(matches!(event(&mut engine).await, EngineEvent::Ping), "{via:?} {nap}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_read_right_after_a_sleep_keeps_the_session_alive() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let network = Network::echo(ServerConfig::default());
        let (slept, clock) = wall_clock();
        let mut engine = open(&network, only(via).wall_clock(clock)).await;
        // A polling client has sent its GET before the machine sleeps.
        let idle = poll_fn(|cx| Poll::Ready(engine.poll_event(cx).is_pending())).await;
        assert!(idle);
        // The server's ping waits to be read when the machine wakes up.
        tokio::time::sleep(Duration::from_millis(25_100)).await;
        slept.store(3600, Ordering::Relaxed);
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping), "{via:?}");
        assert!(engine.is_alive());
        engine.send(text("x")).unwrap();
        assert_eq!(message(&mut engine).await, PacketData::Text("x".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_thread_under_a_paused_clock_does_not_count_as_sleep() {
    for via in [Transport::Polling, Transport::WebSocket] {
        let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(200));
        let config = ServerConfig::default().ping_interval(interval).ping_timeout(timeout);
        let network = Network::echo(config);
        let mut engine = open(&network, only(via)).await;
        // Longer than the heartbeat and than the least sleep that is noticed.
        std::thread::sleep(Duration::from_millis(1100));
        assert!(engine.is_alive(), "{via:?}");
        assert!(matches!(event(&mut engine).await, EngineEvent::Ping), "{via:?}");
    }
}
