//! The command-line client as a process.

use std::{path::PathBuf, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::{
    case::on_servers,
    peer::{self, Program, Setting},
    within,
};

on_servers!(
    siocat_prints_the_ack,
    siocat_prints_the_reason_of_a_refusal,
    siocat_sends_and_prints_line_by_line,
    siocat_sends_once_its_server_has_started,
    siocat_exits_with_its_server_if_requested,
    siocat_exits_after_the_given_number_of_events,
    siocat_reconnects_to_a_restarted_server,
);

fn siocat(args: &[&str]) -> Command {
    let path = std::env::var_os("SIOCAT").map(PathBuf::from);
    let mut command = Command::new(path.expect("SIOCAT is set by `cargo xtask test client`"));
    command.args(args).kill_on_drop(true);
    command
}

fn url(program: Program, parser: &'static str) -> String {
    format!("http://127.0.0.1:{}", peer::shared(program, parser))
}

#[tokio::test]
async fn siocat_uses_the_proxy_of_the_environment() {
    // This project's server accepts full URLs, as a proxy does.
    let proxy = url(Program::Rust, "json");
    let there = "http://nowhere.invalid/";
    for (flags, proxy, found) in [
        (&["-x", "env"][..], &*proxy, true),
        (&["-x", &proxy], "", true),
        (&["-x", "env", "-w", "1"], "", false),
        (&["-w", "1"], &proxy, false),
    ] {
        let mut command = siocat(flags);
        command.args(["-t", "polling", "--no-reconnect", "-a", there, "ack", "1"]);
        command.env("http_proxy", proxy).env("no_proxy", "").env("NO_PROXY", "");
        let output = within(command.output()).await.unwrap();
        assert_eq!(output.status.success(), found, "{flags:?} {proxy} {output:?}");
    }
}

/// A running process, controlled by lines.
struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut command = siocat(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, lines: BufReader::new(stdout).lines() }
    }

    async fn say(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Returns the next printed line with this event name or note.
    async fn wait_for(&mut self, name: &str) -> Value {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it still runs");
                let value: Value = serde_json::from_str(&line).unwrap();
                if value.get("event") == Some(&json!(name))
                    || value.get("type") == Some(&json!(name))
                {
                    return value;
                }
            }
        };
        within(found).await
    }
}

async fn siocat_prints_the_ack(program: Program) {
    for (parser, flags) in
        [("json", &["-t", "polling"][..]), ("json", &["-t", "websocket"]), ("msgpack", &["-m"])]
    {
        let url = url(program, parser);
        let mut args = vec!["-j", "-a"];
        args.extend(flags);
        args.extend([&*url, "ack", r#"{"a":[1]}"#, "two words"]);
        let output = within(siocat(&args).output()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line.get("args"), Some(&json!([{ "a": [1] }, "two words"])), "{line}");
    }
}

async fn siocat_prints_the_reason_of_a_refusal(program: Program) {
    let url = format!("{}/locked", url(program, "json"));
    let output = within(siocat(&[&url, "-a", "ack", "1"]).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not authorized"), "{output:?}");
    let secret = r#"{"token":"secret"}"#;
    let output = within(siocat(&["-A", secret, "-a", &url, "ack", "1"]).output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = within(siocat(&["--nonsense"]).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(2));
}

async fn siocat_sends_and_prints_line_by_line(program: Program) {
    let mut running = Running::start(&["-j", "-r", r#""pong""#, &url(program, "json")]);
    running.wait_for("welcome").await;
    running.say(r#"echo {"x": [1, 2]} text"#).await;
    let echo = running.wait_for("echo").await;
    assert_eq!(echo.get("args"), Some(&json!([{ "x": [1, 2] }, "text"])));
    running.say("ask 1").await;
    let answered = running.wait_for("answered").await;
    assert_eq!(answered.get("args"), Some(&json!(["pong"])));
    running.say("ack? 5").await;
    let answer = running.wait_for("answer").await;
    assert_eq!(answer.get("args"), Some(&json!([5])));
}

async fn siocat_sends_once_its_server_has_started(program: Program) {
    let setting = Setting::new(program);
    let port = setting.start().kill();
    let url = format!("http://127.0.0.1:{}", port.number());
    let output = within(siocat(&["-w", "1", &url, "echo", "1"]).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "an event that was not sent is an error: {output:?}");
    let why = String::from_utf8_lossy(&output.stdout);
    assert!(why.contains("xhr poll error: cannot connect to 127.0.0.1"), "{why}");
    let mut running = Running::start(&["-j", "-l", &url, "echo", "1"]);
    running.wait_for("connect_error").await;
    let _server = setting.start_on(port);
    running.wait_for("echo").await;
}

async fn siocat_exits_with_its_server_if_requested(program: Program) {
    let server = Setting::new(program).start();
    let mut running = Running::start(&["-j", "--no-reconnect", &server.url()]);
    running.wait_for("welcome").await;
    server.kill();
    let status = within(running.child.wait()).await.unwrap();
    assert!(!status.success(), "{status:?}");
}

async fn siocat_exits_after_the_given_number_of_events(program: Program) {
    // The first event is the welcome.
    let mut running = Running::start(&["-j", "-c", "3", &url(program, "json")]);
    running.wait_for("welcome").await;
    running.say("burst 2").await;
    let status = within(running.child.wait()).await.unwrap();
    assert!(status.success(), "{status:?}");
}

async fn siocat_reconnects_to_a_restarted_server(program: Program) {
    let setting = Setting::new(program);
    let server = setting.start();
    let mut running = Running::start(&["-j", &server.url()]);
    running.wait_for("welcome").await;
    let _server = setting.start_on(server.kill());
    running.wait_for("welcome").await;
    running.say("echo back").await;
    running.wait_for("echo").await;
}
