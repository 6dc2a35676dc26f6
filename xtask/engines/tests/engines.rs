//! Engines start, answer, stop, and leave nothing behind.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use engines::{Engine, Nats, Postgres, Redis, RedisCluster};

#[test]
fn redis_is_killed_and_comes_back() {
    comes_back(&Redis::start().unwrap()).unwrap();
}

#[test]
fn nats_is_killed_and_comes_back() {
    comes_back(&Nats::start().unwrap()).unwrap();
}

#[test]
fn postgres_is_killed_and_comes_back() {
    comes_back(&Postgres::start().unwrap()).unwrap();
}

#[test]
fn two_at_once_have_ports_of_their_own() {
    let (one, other) = (Redis::start().unwrap(), Redis::start().unwrap());
    assert_ne!(one.url(), other.url());
}

#[test]
fn the_masters_of_a_cluster_agree_again_after_one_was_killed() {
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
fn an_engine_does_not_outlive_a_killed_process() {
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
        assert!(Instant::now() < deadline, "still there");
        std::thread::yield_now();
    }
}

fn comes_back(engine: &Engine) -> Result<(), Box<dyn std::error::Error>> {
    assert!(is_open(engine.port()));
    engine.kill()?;
    assert!(!is_open(engine.port()), "killed, and still there");
    engine.restart()?;
    engine.pause()?;
    let mut stream = TcpStream::connect(("127.0.0.1", engine.port()))?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let _ = stream.write_all(b"PING\r\n");
    let heard = std::io::Read::read(&mut stream, &mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
    engine.resume()?;
    Ok(())
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
