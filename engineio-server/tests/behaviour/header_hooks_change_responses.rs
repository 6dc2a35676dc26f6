//! Parity: `initial_headers` and `headers`, on polling responses and on responses that accept a
//! WebSocket.

use crate::support;

use engineio_server::EngineConfig;
use http::{HeaderMap, HeaderName, HeaderValue, Response, request::Parts};
use support::{Server, within};

fn config() -> EngineConfig {
    let later = |headers: &mut HeaderMap, request: &Parts| {
        let initial = headers.contains_key("x-initial");
        let seen = HeaderValue::try_from(format!("{} {initial}", request.method));
        headers.extend(seen.map(|seen| (HeaderName::from_static("x-seen"), seen)));
        // The hook can also remove headers of the engine.
        headers.remove("cache-control");
    };
    EngineConfig::default()
        .initial_headers(|headers, _| {
            headers.insert("x-initial", HeaderValue::from_static("1"));
        })
        .headers(later)
}

#[tokio::test]
async fn header_hooks_change_responses() {
    let server = Server::echo(config()).await;
    let answer = within(server.request("GET", "EIO=4&transport=polling", "")).await;
    assert_eq!((answer.header("x-initial"), answer.header("x-seen")), ("1", "GET true"));
    assert_eq!(answer.header("cache-control"), "");
    let sid = support::sid_of(&answer.body);

    let answer = within(server.post(&sid, "4a")).await;
    assert_eq!((answer.header("x-initial"), answer.header("x-seen")), ("", "POST false"));
    let answer = within(server.get(&sid)).await;
    assert_eq!((answer.header("x-initial"), answer.header("x-seen")), ("", "GET false"));

    let response = server.websocket_response("EIO=4&transport=websocket").await;
    assert_eq!(response.headers()["x-initial"], "1");
    assert_eq!(response.headers()["x-seen"], "GET true");
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    let response = server.websocket_response(&query).await;
    assert_eq!(response.headers()["x-seen"], "GET false");
}

#[tokio::test]
async fn header_hooks_do_not_change_refusals() {
    let server = Server::echo(config()).await;
    let answer = within(server.request("GET", "EIO=5&transport=polling", "")).await;
    assert_eq!((answer.status, answer.header("x-seen")), (400, ""));
}

#[tokio::test]
async fn header_hooks_do_not_change_files() {
    let config = config().files(|_, _| Some(Response::new("text".into())));
    let server = Server::echo(config).await;
    let answer = within(server.request("GET", "", "")).await;
    assert_eq!((&*answer.body, answer.header("x-seen")), ("text", ""));
}
