//! Parity: `cookie`. Only the response to a polling handshake sets it, never a WebSocket.

use crate::support;

use engineio_server::{Cookie, EngineConfig};
use support::{Server, within};

#[tokio::test]
async fn a_cookie_names_the_session_on_polling() {
    let server = Server::echo(EngineConfig::default().cookie(Cookie::default())).await;
    let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    let sid = support::sid_of(&answer.body);
    let expected = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(answer.header("set-cookie"), expected);

    let answer = within(server.post(&sid, "4a")).await;
    assert_eq!(answer.header("set-cookie"), "");
    let answer = within(server.get(&sid)).await;
    assert_eq!((&*answer.body, answer.header("set-cookie")), ("4a", ""));

    let response = server.websocket_response("EIO=4&transport=websocket").await;
    assert!(!response.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn no_cookie_is_set_by_default() {
    let server = Server::echo(EngineConfig::default()).await;
    let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (200, ""));
}
