//! The time to decode and to encode one small event with typed arguments, without a connection.
//!
//! Arguments: `ours`, `socketioxide` or `serde_json`; `decode` or `encode`. Prints one line of JSON:
//! the nanoseconds per event in the fastest of many batches, which other programs disturb least.
//! `serde_json` parses and serializes only the argument: no typed codec can be faster with it.

use std::{
    env,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_parser::{ByteString, Content, Decoder, Limits, Nsp, encode_event};
use socketioxide_core::{
    Str,
    packet::{Packet, PacketData},
    parser::{Parse, ParseConfig, ParserState},
};
use socketioxide_parser_common::CommonParser;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIME: Duration = Duration::from_millis(300);
/// Events of a batch.
const BATCH: u32 = 1000;
const ARGUMENT: &str =
    r#"{"id":10000000,"user":"alice","text":"how are you today?","urgent":false}"#;

#[derive(Deserialize, Serialize)]
struct Message {
    id: u64,
    user: String,
    text: String,
    urgent: bool,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let text = format!(r#"2["message",{ARGUMENT}]"#);
    let message = serde_json::from_str::<Message>(ARGUMENT)?;
    let nanoseconds = match arguments[..] {
        ["ours", "decode"] => {
            let (mut decoder, text) = (Decoder::new(&Limits::default()), ByteString::from(text));
            fastest(|| match decoder.decode_text(text.clone())?.map(|packet| packet.content) {
                Some(Content::Event { args, .. }) => Ok(args.decode::<Message>()?.id),
                _ => Err("not an event".into()),
            })
        }
        ["ours", "encode"] => {
            let root = Nsp::root();
            fastest(|| Ok(encode_event(&root, None, "message", black_box(&message))?))
        }
        ["socketioxide", "decode"] => {
            let (config, state) = (ParseConfig::default(), ParserState::default());
            let text = Str::from(text);
            fastest(|| match CommonParser.decode_str(&config, &state, text.clone())?.inner {
                PacketData::Event(mut value, _) => {
                    black_box(CommonParser.read_event(&value)?);
                    Ok(CommonParser.decode_value::<Message>(&mut value, true)?.id)
                }
                _ => Err("not an event".into()),
            })
        }
        ["socketioxide", "encode"] => fastest(|| {
            let value = CommonParser.encode_value(black_box(&message), Some("message"))?;
            Ok(CommonParser.encode(Packet::event("/", value)))
        }),
        ["serde_json", "decode"] => {
            fastest(|| Ok(serde_json::from_str::<Message>(black_box(ARGUMENT))?.id))
        }
        ["serde_json", "encode"] => fastest(|| Ok(serde_json::to_vec(black_box(&message))?)),
        _ => Err("usage: codecs ours|socketioxide|serde_json decode|encode".into()),
    }?;
    println!("{}", json!({ "ns": nanoseconds }));
    Ok(())
}

/// Repeats `work`. Returns the nanoseconds of each repetition in the fastest batch.
fn fastest<T>(mut work: impl FnMut() -> Outcome<T>) -> Outcome<f64> {
    let (began, mut fastest) = (Instant::now(), Duration::MAX);
    while began.elapsed() < TIME {
        let batch = Instant::now();
        for _ in 0..BATCH {
            black_box(work()?);
        }
        fastest = fastest.min(batch.elapsed());
    }
    Ok(fastest.as_nanos() as f64 / f64::from(BATCH))
}
