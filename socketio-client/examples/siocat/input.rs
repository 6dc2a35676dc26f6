//! The events to send: from the command line or from input lines.

use std::{sync::Arc, time::Duration};

use socketio_client::{AckError, Socket, Values};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{options, output::Output};

/// Sends an event, waits for its ack, and prints it.
pub(crate) async fn ask(
    socket: &Socket,
    event: &str,
    args: &Values,
    timeout: Duration,
) -> Result<Values, AckError> {
    socket.timeout(timeout).emit_with_ack(event, args).await
}

/// Sends the lines of the standard input. Never returns, also after the end of the input.
pub(crate) async fn lines(socket: Socket, output: Arc<Output>, timeout: Duration) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words = words(&line);
        let Some((event, arguments)) = words.split_first() else { continue };
        let args = match options::values(arguments) {
            Ok(args) => args,
            Err(error) => {
                eprintln!("siocat: {error}");
                continue;
            }
        };
        let (socket, output) = (socket.clone(), output.clone());
        match event.strip_suffix('?') {
            Some(event) => {
                let event = event.to_owned();
                tokio::spawn(async move {
                    match ask(&socket, &event, &args, timeout).await {
                        Ok(answer) => output.answer(socket.nsp().as_str(), &event, answer),
                        Err(error) => eprintln!("siocat: {event}: {error}"),
                    }
                });
            }
            None => {
                if let Err(error) = socket.emit(event, &args) {
                    eprintln!("siocat: {event}: {error}");
                }
            }
        }
    }
    // Events may still arrive.
    std::future::pending::<()>().await;
}

/// Splits a line at blanks. A word that starts as JSON continues to the end of its JSON text.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
        let json = values.next().and_then(Result::ok).map(|_| values.byte_offset());
        let blank = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let end = json.filter(|end| rest[*end..].chars().next().is_none_or(char::is_whitespace));
        let (word, tail) = rest.split_at(end.unwrap_or(blank));
        words.push(word.to_owned());
        rest = tail.trim_start();
    }
    words
}
