//! By default the server declines `permessage-deflate`, because its contexts would need far more
//! memory per connection than everything else.

use crate::support;

use engineio_server::EngineConfig;
use support::{Server, frame};

#[tokio::test]
async fn no_compression_context_is_kept() {
    let server = Server::echo(EngineConfig::default()).await;
    let head = "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n\
        connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut request = head.as_bytes().to_vec();
    request.extend(frame(0x88, b""));
    let answer = server.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer:?}");
    assert!(!answer.contains("sec-websocket-extensions"), "{answer:?}");
}
