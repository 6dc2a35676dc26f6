//! Servers that send arbitrary bytes, on each stream of a session.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    peer::{OPEN, Peer, response, settings},
    *,
};

#[derive(Clone, Debug)]
struct Script {
    settings: Vec<u8>,
    response: Vec<u8>,
    stream: Vec<u8>,
    /// How the connection ends: not, by the end of a stream, or at once.
    end: u8,
}

/// The valid bytes, some of them with a part replaced by arbitrary bytes.
fn mostly(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = valid.len();
    (0..=len, prop::option::weighted(0.3, vec(any::<u8>(), 0..40))).prop_map(
        move |(start, noise)| match noise {
            None => valid.clone(),
            Some(noise) => [&valid[..start], &noise[..], &valid[start..]].concat(),
        },
    )
}

fn script() -> impl Strategy<Value = Script> {
    let piece = prop_oneof![
        4 => select(vec![&b"\x024a"[..], b"\x012", b"\x013", b"\x011", b"\x063probe", b"\x81\x07"])
            .prop_map(<[u8]>::to_vec),
        1 => select(vec![&b"\x00"[..], b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff", b"\x7e\x00\x00"])
            .prop_map(<[u8]>::to_vec),
        2 => vec(any::<u8>(), 0..40),
    ];
    let open = [&[OPEN.len() as u8 + 1][..], b"0", OPEN.as_bytes()].concat();
    let stream = (prop::bool::weighted(0.8), vec(piece, 0..8)).prop_map(move |(opens, pieces)| {
        [if opens { open.clone() } else { vec![] }, pieces.concat()].concat()
    });
    (mostly(settings()), mostly(response(200)), stream, 0..4_u8)
        .prop_map(|(settings, response, stream, end)| Script { settings, response, stream, end })
}

async fn serve(peer: &Peer, script: Script) {
    let connection = peer.connection().await;
    let run = async {
        let mut control = connection.open_uni().await.ok()?;
        control.write_all(&script.settings).await.ok()?;
        let mut request = connection.accept_bi().await.ok()?;
        request.0.write_all(&script.response).await.ok()?;
        let mut stream = connection.accept_bi().await.ok()?;
        stream.0.write_all(&script.stream).await.ok()?;
        match script.end {
            0 => stream.0.finish().ok()?,
            1 => request.0.finish().ok()?,
            2 => control.finish().ok()?,
            _ => connection.close(1_u32.into(), b""),
        }
        stream.1.read_to_end(100_000).await.ok()
    };
    // A client may wait for more than it will get.
    let _ = tokio::time::timeout(Duration::from_millis(100), run).await;
    connection.close(0_u32.into(), b"");
}

async fn survive(script: Script) {
    let peer = Peer::new();
    let config = engine_config(&peer.url(), &peer.options().max_payload(500)).unwrap();
    let client = async {
        let Ok(mut engine) = Engine::open(&config).await else { return };
        let _ = engine.send(text("x"));
        for _ in 0..1000 {
            if let EngineEvent::Closed(_) = event(&mut engine).await {
                return;
            }
        }
        panic!("a server that has a few bytes to say keeps its client busy");
    };
    tokio::join!(client, serve(&peer, script));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_session_ends_whatever_the_server_sends(scripts in vec(script(), 30)) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let sessions: tokio::task::JoinSet<()> = scripts.into_iter().map(survive).collect();
            sessions.join_all().await;
        });
    }
}
