//! The memory of clients that only open sessions, measured by counting allocations. The test is a
//! program of its own, because the allocator is that of the whole process.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Empty};
use peak_alloc::PeakAlloc;
use socketio_server::{Server, ServerConfig};

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

const SESSIONS: usize = 20_000;

/// The bytes of a session that was only opened, besides the stored parts of its request.
const MAX_SESSION: usize = 3 * 1024;

/// The bytes that may remain after the last session: tokio's queue of tasks keeps 8 bytes for each
/// task that was woken.
const MAX_LEFT: usize = 512 * 1024;

async fn open(server: &Server, cookie: usize) -> u16 {
    let request = Request::get("/socket.io/?EIO=4&transport=polling")
        .header("host", "a.test")
        .header("cookie", "c".repeat(cookie))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = server.engine().handle(request).await;
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    status
}

#[tokio::test(start_paused = true)]
async fn sessions_that_never_connect_are_small_and_leave_nothing() {
    let server = Server::with_config(ServerConfig::default());
    server.of("/");
    // Everything that is allocated once exists now.
    assert_eq!(open(&server, 0).await, 200);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(server.engine().clients_count(), 0);

    for cookie in [0, 15_000] {
        let before = ALLOCATIONS.current_usage();
        for _ in 0..SESSIONS {
            assert_eq!(open(&server, cookie).await, 200);
        }
        assert_eq!(server.engine().clients_count(), SESSIONS);
        let each = (ALLOCATIONS.current_usage() - before) / SESSIONS;
        println!("{each} bytes for a session with a cookie of {cookie}");
        assert!(each <= MAX_SESSION, "{each} bytes for a session with a cookie of {cookie}");

        // Longer than `connect_timeout` and the linger after it.
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(server.engine().clients_count(), 0);
        let left = ALLOCATIONS.current_usage().saturating_sub(before);
        println!("{left} bytes left");
        assert!(left <= MAX_LEFT, "{left} bytes left of {SESSIONS} sessions");
    }
}
