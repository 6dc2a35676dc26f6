//! A WebTransport stream can be split at any byte.

use crate::arbitrary;

use engineio_parser::webtransport::{self, Decoder};
use proptest::{collection::vec, prelude::*};

proptest! {
    #[test]
    fn webtransport_packets_survive_any_chunking(
        packets in arbitrary::packets(),
        sizes in vec(1_usize..400, 1..10),
    ) {
        let mut stream = Vec::new();
        for packet in &packets {
            let (header, body) = webtransport::encode(&packet.to_frame().unwrap());
            stream.extend_from_slice(header.as_ref());
            stream.extend_from_slice(&body);
        }
        let mut decoder = Decoder::new(stream.len() as u64);
        let mut decoded = Vec::new();
        let (mut rest, mut sizes) = (&stream[..], sizes.into_iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().unwrap().min(rest.len());
            let (chunk, after) = rest.split_at(size);
            rest = after;
            decoder.push(chunk);
            while let Some(packet) = decoder.next().unwrap() {
                decoded.push(packet);
            }
        }
        prop_assert_eq!(decoded, packets);
    }
}
