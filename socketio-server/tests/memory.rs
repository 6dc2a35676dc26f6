//! The memory that a polling client can make a server hold, measured by counting allocations. The
//! test is a program of its own, because the allocator is that of the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic fails the test"
)]

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use peak_alloc::PeakAlloc;
use socketio_server::Server;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The bytes of a POST, just below `max_payload`.
const BODY: usize = 999_000;

/// Allows one measurement at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn ask(io: &Server, method: Method, query: &str, body: Bytes) -> String {
    let uri = format!("/socket.io/?EIO=4&transport=polling{query}");
    let request = Request::builder().method(method).uri(uri).body(Full::new(body)).unwrap();
    let response = io.engine().handle(request).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Opens a session in the namespace. Returns the query that names it.
async fn enter(io: &Server) -> String {
    let open = ask(io, Method::GET, "", Bytes::new()).await;
    let sid = open.split(r#""sid":""#).nth(1).and_then(|rest| rest.split('"').next());
    let query = format!("&sid={}", sid.unwrap());
    assert_eq!(ask(io, Method::POST, &query, "40".into()).await, "ok");
    assert!(ask(io, Method::GET, &query, Bytes::new()).await.starts_with("40"));
    query
}

/// Returns the memory that a POST of many packets takes while the handlers of its events never end.
async fn post(packet: &str, limit: usize) {
    let _alone = ALONE.lock().await;
    let io = Server::new();
    io.on("a", std::future::pending::<()>);
    let query = enter(&io).await;
    let body = Bytes::from(packet.repeat(BODY / packet.len()));
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    // With a paused clock this ends when all tasks are idle.
    let posting = ask(&io, Method::POST, &query, body);
    let _ = tokio::time::timeout(Duration::from_secs(1), posting).await;
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak < limit, "{peak} bytes were allocated, {limit} are allowed");
}

#[tokio::test(start_paused = true)]
async fn a_post_of_packets_without_content_costs_no_more_than_its_body() {
    post("6\x1e", 3_000_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_of_malformed_packets_costs_no_more_than_its_body() {
    post("4\x1e", 3_000_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_of_events_costs_no_more_than_its_body_and_the_inbox() {
    post("42[\"a\"]\x1e", 4_000_000).await;
}
