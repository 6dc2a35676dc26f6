//! Engines start, respond, stop and leave no process or folder behind.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use engines::{Engine, Nats, Postgres, Redis, RedisCluster};

#[test]
fn redis_can_be_killed_restarted_paused_and_resumed() {
    check_life_cycle(&Redis::start().unwrap()).unwrap();
}

#[test]
fn nats_can_be_killed_restarted_paused_and_resumed() {
    check_life_cycle(&Nats::start().unwrap()).unwrap();
}

#[test]
fn postgres_can_be_killed_restarted_paused_and_resumed() {
    check_life_cycle(&Postgres::start().unwrap()).unwrap();
}

#[test]
fn two_engines_use_different_ports() {
    let (one, other) = (Redis::start().unwrap(), Redis::start().unwrap());
    assert_ne!(one.url(), other.url());
}

#[test]
fn the_masters_of_a_cluster_agree_again_after_a_restart() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.urls().len(), 3);
    let master = &cluster.masters()[1];
    master.kill().unwrap();
    master.restart().unwrap();
    cluster.agreed().unwrap();
}

#[test]
fn a_replica_takes_the_place_of_a_killed_master() {
    let cluster = RedisCluster::with_replicas().unwrap();
    assert_eq!(cluster.urls().len(), 6);
    cluster.masters()[0].kill().unwrap();
    cluster.failed_over().unwrap();
    cluster.masters()[0].restart().unwrap();
    cluster.agreed().unwrap();
}

#[test]
fn an_engine_ends_when_its_starter_is_killed() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_engines"));
    program.arg("redis").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    assert!(is_open(port));
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_open(port) {
        assert!(Instant::now() < deadline, "the engine still runs");
        std::thread::yield_now();
    }
}

fn check_life_cycle(engine: &Engine) -> Result<(), Box<dyn std::error::Error>> {
    assert!(is_open(engine.port()));
    engine.kill()?;
    assert!(!is_open(engine.port()), "the killed engine still listens");
    engine.restart()?;
    engine.pause()?;
    let mut stream = TcpStream::connect(("127.0.0.1", engine.port()))?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let _ = stream.write_all(b"PING\r\n");
    let response = std::io::Read::read(&mut stream, &mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(response, Err(std::io::ErrorKind::WouldBlock));
    engine.resume()?;
    Ok(())
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
