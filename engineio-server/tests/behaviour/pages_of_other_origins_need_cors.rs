//! Parity: `cors`, compared with the responses of the npm package that Node's server uses.

use crate::support;

use std::time::Duration;

use engineio_server::{Cors, EngineConfig};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use support::{Answer, Server, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PAGE: &str = "https://page.example";

async fn ask(config: EngineConfig, method: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
    let server = Server::echo(config).await;
    let mut request = Request::builder().method(method).uri(format!("/engine.io/?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    within(server.send(request.body(Empty::<bytes::Bytes>::new()).unwrap())).await
}

async fn open(cors: Cors, origin: &str) -> Answer {
    let config = EngineConfig::default().cors(cors);
    let answer = ask(config, "GET", "EIO=4&transport=polling", &[("origin", origin)]).await;
    assert_eq!(answer.status, 200);
    answer
}

async fn preflight(cors: Cors) -> Answer {
    let asked = [("origin", PAGE), ("access-control-request-headers", "x-asked,x-for")];
    // Answered before any other check, because it is not a request of the protocol.
    ask(EngineConfig::default().cors(cors), "OPTIONS", "", &asked).await
}

/// Returns the CORS headers in alphabetical order.
#[track_caller]
fn has(answer: &Answer, expected: &[(&str, &str)]) {
    let mut found: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| name.starts_with("access-control-") || *name == "vary")
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn cors_is_off_by_default() {
    let answer =
        ask(EngineConfig::default(), "GET", "EIO=4&transport=polling", &[("origin", PAGE)]).await;
    has(&answer, &[]);
    let answer = ask(EngineConfig::default(), "OPTIONS", "", &[("origin", PAGE)]).await;
    assert_eq!(answer.status, 400);
    has(&answer, &[]);
}

#[tokio::test]
async fn the_wildcard_origin_is_never_combined_with_credentials() {
    let answer = open(Cors::any_origin().credentials(true), PAGE).await;
    has(&answer, &[("access-control-allow-origin", "*")]);
}

#[tokio::test]
async fn listed_origins_are_reflected() {
    let cors = || Cors::origins(["https://other.example", PAGE]).credentials(true);
    let answer = open(cors(), PAGE).await;
    has(
        &answer,
        &[
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-origin", PAGE),
            ("vary", "Origin"),
        ],
    );
    for stranger in ["https://page.example.evil", "http://page.example", "null", ""] {
        let answer = open(cors(), stranger).await;
        has(&answer, &[("access-control-allow-credentials", "true"), ("vary", "Origin")]);
    }
}

#[tokio::test]
async fn origins_that_a_function_accepts_are_reflected() {
    let cors = || Cors::origins_where(|origin| origin.ends_with(".example"));
    let allowed = [("access-control-allow-origin", PAGE), ("vary", "Origin")];
    has(&open(cors(), PAGE).await, &allowed);
    has(&open(cors(), "https://page.example.evil").await, &[("vary", "Origin")]);
}

#[tokio::test]
async fn error_responses_have_cors_headers() {
    let config = EngineConfig::default().cors(Cors::any_origin());
    let answer = ask(config, "GET", "EIO=4&transport=tape", &[("origin", PAGE)]).await;
    answer.is(400, r#"{"code":0,"message":"Transport unknown"}"#);
    has(&answer, &[("access-control-allow-origin", "*")]);
}

#[tokio::test]
async fn a_preflight_response_has_nodes_defaults() {
    let answer = preflight(Cors::any_origin()).await;
    answer.is(204, "");
    has(
        &answer,
        &[
            ("access-control-allow-headers", "x-asked,x-for"),
            ("access-control-allow-methods", "GET,HEAD,PUT,PATCH,POST,DELETE"),
            ("access-control-allow-origin", "*"),
            ("vary", "Access-Control-Request-Headers"),
        ],
    );
    let answer = preflight(Cors::origins([PAGE])).await;
    assert_eq!(answer.header("vary"), "Origin, Access-Control-Request-Headers");
}

#[tokio::test]
async fn a_preflight_response_has_the_configured_values() {
    let cors = Cors::origins([PAGE])
        .methods([Method::GET, Method::POST])
        .allowed_headers([HeaderName::from_static("x-one"), HeaderName::from_static("x-two")])
        .exposed_headers([HeaderName::from_static("x-seen")])
        .max_age(Duration::from_secs(600))
        .preflight_status(StatusCode::OK);
    let answer = preflight(cors).await;
    answer.is(200, "");
    has(
        &answer,
        &[
            ("access-control-allow-headers", "x-one,x-two"),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-origin", PAGE),
            ("access-control-expose-headers", "x-seen"),
            ("access-control-max-age", "600"),
            ("vary", "Origin"),
        ],
    );
}

#[tokio::test]
async fn vary_is_extended_and_not_replaced() {
    let file = |_: &str, _: &http::request::Parts| {
        let response = Response::builder().header("vary", "x-one").header("vary", "x-two");
        response.body("x".repeat(2000).into()).ok()
    };
    let config = EngineConfig::default().cors(Cors::origins([PAGE])).files(file);
    let answer = ask(config, "GET", "", &[]).await;
    let expected = ["x-one, x-two, Origin", "x-one, x-two, accept-encoding, Origin"];
    assert_eq!(answer.header("vary"), expected[usize::from(cfg!(feature = "compression"))]);
}

/// Returns the status of a WebSocket request from a page of this origin. The server is example.com.
async fn open_websocket(config: EngineConfig, query: &str, origin: Option<&str>) -> u16 {
    let server = Server::echo(config).await;
    let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
    let request = format!(
        "GET /engine.io/?{query} HTTP/1.1\r\nhost: example.com\r\n{origin}\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status_line = [0; "HTTP/1.1 101".len()];
    within(stream.read_exact(&mut status_line)).await.unwrap();
    String::from_utf8_lossy(&status_line)["HTTP/1.1 ".len()..].parse().unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_open_a_websocket() {
    const OPEN: &str = "EIO=4&transport=websocket";
    let open = |config, origin| open_websocket(config, OPEN, origin);
    assert_eq!(open(EngineConfig::default(), Some(PAGE)).await, 403);
    assert_eq!(open(EngineConfig::default(), Some("null")).await, 403);
    assert_eq!(open(EngineConfig::default(), Some("https://example.com")).await, 101);
    assert_eq!(open(EngineConfig::default(), None).await, 101, "a program");
    assert_eq!(open(EngineConfig::default().check_origin(false), Some(PAGE)).await, 101);

    let listed = || EngineConfig::default().cors(Cors::origins([PAGE]));
    assert_eq!(open(listed(), Some(PAGE)).await, 101);
    assert_eq!(open(listed(), Some("https://page.example.evil")).await, 403);
    assert_eq!(open(EngineConfig::default().cors(Cors::any_origin()), Some("null")).await, 101);
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_upgrade_a_session() {
    // Refused before the session is looked up: the page learns nothing about it.
    const UPGRADE: &str = "EIO=4&transport=websocket&sid=unknown";
    assert_eq!(open_websocket(EngineConfig::default(), UPGRADE, Some(PAGE)).await, 403);
    assert_eq!(open_websocket(EngineConfig::default(), UPGRADE, None).await, 400);
}

#[tokio::test]
async fn a_foreign_page_is_reported_to_the_application() {
    let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
    let config = EngineConfig::default().connection_error(move |error| {
        let _ = report.send(format!("{} {} {}", error.code, error.message, error.context.name()));
    });
    assert_eq!(open_websocket(config, "EIO=4&transport=websocket", Some(PAGE)).await, 403);
    assert_eq!(reports.recv().await.unwrap(), "4 Origin not allowed FOREIGN_ORIGIN");
}
