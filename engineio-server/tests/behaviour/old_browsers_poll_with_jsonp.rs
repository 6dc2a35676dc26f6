//! Parity: JSONP, in both revisions. Responses are scripts that call a function, and requests are
//! forms.

use crate::support;

use engineio_server::{CloseReason, EngineConfig, Event, PacketData};
use support::{PendingAnswer, Server, text, within};

const FORM: &str = "application/x-www-form-urlencoded";

async fn echo() -> Server {
    Server::echo(EngineConfig::default().jsonp(true).allow_eio3(true).max_payload(1000)).await
}

/// Opens a session with callback `n`. Returns its id.
async fn open(server: &Server, revision: u8, j: &str, n: &str) -> String {
    let query = format!("EIO={revision}&transport=polling&j={j}");
    let answer = within(server.request("GET", &query, "")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/javascript; charset=UTF-8");
    let open = payload(&answer.body, n);
    let open = if revision == 3 { open.split_once(':').unwrap().1.to_owned() } else { open };
    support::sid_of(&open)
}

/// Returns the argument that a script passes to its callback.
fn payload(script: &str, n: &str) -> String {
    let argument = script.strip_prefix(&format!("___eio[{n}](")).unwrap();
    serde_json::from_str(argument.strip_suffix(");").unwrap()).unwrap()
}

fn post(server: &Server, sid: &str, form: &str) -> PendingAnswer {
    server.post_as(FORM, sid, form.as_bytes())
}

#[tokio::test]
async fn text_is_echoed() {
    let mut server = echo().await;
    let sid = open(&server, 4, "7", "7").await;
    // The form in which a browser sends `4a"b` + U+2028, a line feed, and a literal `\n`.
    let answer = within(post(&server, &sid, "d=4a%22b%E2%80%A8%5Cn%5C%5Cn")).await;
    answer.is(200, "ok");
    assert_eq!(answer.header("content-type"), "text/html");
    assert_eq!(server.event().await, text("a\"b\u{2028}\n\\n"));
    within(server.get(&sid)).await.is(200, r#"___eio[7]("4a\"b\u2028\n\\n");"#);
}

#[tokio::test]
async fn binary_is_base64_in_both_revisions() {
    let mut server = echo().await;
    let bytes = Event::Message(PacketData::Binary(vec![1, 2, 3, 4].into()));
    for (revision, packet) in [(4, "bAQIDBA=="), (3, "10:b4AQIDBA==")] {
        let sid = open(&server, revision, "0", "0").await;
        let form = format!("d={}", packet.replace('=', "%3D"));
        within(post(&server, &sid, &form)).await.is(200, "ok");
        assert_eq!(server.event().await, bytes);
        within(server.get(&sid)).await.is(200, &format!("___eio[0](\"{packet}\");"));
    }
}

#[tokio::test]
async fn only_the_digits_of_the_callback_are_used() {
    let server = echo().await;
    open(&server, 4, "1](alert(2));//3", "123").await;
    open(&server, 4, "", "").await;
}

#[tokio::test]
async fn the_limit_on_bodies_applies() {
    let mut server = echo().await;
    let sid = open(&server, 4, "0", "0").await;
    let form = format!("d=4{}", "a".repeat(998));
    within(post(&server, &sid, &form)).await.is(413, "");
    server.closed().await;
    assert!(server.is_gone(&sid).await);
}

#[tokio::test]
async fn a_body_that_is_not_a_form_closes_the_session() {
    let mut server = echo().await;
    for form in ["4a", "x=4a", "d=4a&d=4b", "d=", "d=x"] {
        let sid = open(&server, 4, "0", "0").await;
        assert_eq!(within(post(&server, &sid, form)).await.status, 400, "{form}");
        assert_eq!(server.closed().await, CloseReason::ParseError, "{form}");
    }
}

#[tokio::test]
async fn jsonp_is_off_by_default() {
    let server = Server::echo(EngineConfig::default()).await;
    let answer = within(server.request("GET", "EIO=4&transport=polling&j=0", "")).await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
    support::sid_of(&answer.body);
}
