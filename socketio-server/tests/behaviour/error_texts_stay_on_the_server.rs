//! An error converted by `?` may name tables, hosts and users, so the client gets "internal error"
//! unless the error was made for it. The error handler gets the whole error.

use crate::support;

use socketio_server::{Event, HandlerError};
use support::{Done, failures, server};

fn query() -> std::io::Result<u32> {
    Err(std::io::Error::other("db-3 refused user 'app'"))
}

#[tokio::test]
async fn an_ack_carries_no_error_text() {
    let server = server().await;
    server.io.on("row", || async { Ok::<_, HandlerError>(query()?) });
    server.io.handle(Event::<(), u32>::new("typed"), |_, ()| async { Ok(query()?) });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.client().await;
    for event in ["row", "typed"] {
        client.send(&format!("421[\"{event}\"]")).await;
        client.expect(r#"431[{"error":"internal error"}]"#).await;
        assert_eq!(failures.next().await, format!("{event} Handler: db-3 refused user 'app'"));
    }
}

#[tokio::test]
async fn a_connect_error_carries_no_error_text() {
    let server = server().await;
    server.io.use_(|| async {
        query()?;
        Done::Ok(())
    });
    let mut failures = failures(&server.io.of("/"));
    let mut client = server.open().await;
    client.send("40").await;
    client.expect(r#"44{"message":"internal error"}"#).await;
    assert_eq!(failures.next().await, "connect Middleware: db-3 refused user 'app'");
}

#[tokio::test]
async fn a_public_error_carries_its_text() {
    let server = server().await;
    let public = || HandlerError::public("no such row").with_data(&404);
    server.io.on("public", move || async move { Done::Err(public()) });
    server.io.on("data", || async { Done::Err(HandlerError::from("secret").with_data(&500)) });
    let mut client = server.client().await;
    client.send(r#"421["public"]"#).await;
    client.expect(r#"431[{"error":"no such row","data":404}]"#).await;
    client.send(r#"422["data"]"#).await;
    client.expect(r#"432[{"error":"internal error","data":500}]"#).await;
}
