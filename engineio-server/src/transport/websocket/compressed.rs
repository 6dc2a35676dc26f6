//! Tests of compression: our two sides with each other, and with plain flate2 as the peer.

#[cfg(test)]
mod tests {
    use engineio_parser::{
        Frame, Frames, PacketType, Revision, WebSocketError,
        internal::share,
        websocket::{Header, Incoming, Message, encode},
    };
    use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
    use proptest::{collection::vec, prelude::*};

    use super::super::{
        deflate::{Deflate, Inflate, Parameters},
        read::{ReadError, Reader},
    };
    use crate::turn::Turn;

    const LIMIT: usize = 20_000;
    /// Maximum number of bytes after compression with a flush after each byte.
    const LONGEST: usize = 20 * LIMIT;
    const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

    const RESERVED_BITS: ReadError = ReadError::Frame(WebSocketError::ReservedBits);

    fn too_large(max_payload: usize) -> ReadError {
        WebSocketError::TooLarge { max_payload }.into()
    }

    const PARAMETERS: Parameters = Parameters {
        threshold: 0,
        level: 4,
        server_takeover: false,
        client_takeover: false,
        server_bits: 15,
        client_bits: 15,
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Messages to a peer that uses the window it asked for, and no larger one.
        #[test]
        fn a_peer_decodes_compressed_messages(
            messages in vec(message(), 1..6),
            takeover in any::<bool>(),
            server_bits in 8..=15_u8,
            level in 1..=9_u32,
        ) {
            let mut deflate =
                Deflate::new(Parameters { server_takeover: takeover, server_bits, level, ..PARAMETERS });
            let mut peer = Decompress::new_with_window_bits(false, server_bits.max(9));
            for message in messages {
                let frame = Frame::binary(message.clone().into());
                let compressed = deflate.compress(&frame, Revision::V4, false);
                prop_assert!(compressed.is_some() || !takeover);
                let Some(compressed) = compressed else { continue };
                let payload = payload(0xc2, &compressed.body);
                if !takeover {
                    prop_assert!(payload.len() < message.len());
                    peer.reset(false);
                }
                prop_assert_eq!(inflated(&mut peer, payload), message);
            }
        }

        /// Messages from a peer that flushes and fragments at arbitrary places.
        #[test]
        fn compressed_messages_of_a_peer_are_decoded(
            messages in vec((message(), 1..2000_usize, 1..300_usize), 1..6),
            takeover in any::<bool>(),
            client_bits in 9..=15_u8,
            flush in prop_oneof![Just(FlushCompress::Sync), Just(FlushCompress::Full), Just(FlushCompress::None)],
            chunk in 1..3000_usize,
        ) {
            let mut peer = Compress::new_with_window_bits(Compression::new(6), false, client_bits);
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (message, piece, fragment) in messages {
                if !takeover {
                    peer.reset();
                }
                let payload = deflated(&mut peer, &message, piece, flush);
                let pieces = payload.chunks(fragment.max(payload.len() / 900 + 1)).collect::<Vec<_>>();
                for (n, piece) in pieces.iter().enumerate() {
                    let first = if n == 0 { 0x42 } else { 0 };
                    let last = if n + 1 == pieces.len() { 0x80 } else { 0 };
                    bytes.extend(masked(first | last, piece));
                    // Uncompressed messages may come in between.
                    bytes.extend(masked(0x8a, b""));
                    expected.push(format!("{:?}", Incoming::Pong(b"".into())));
                }
                let pong = expected.pop();
                expected.push(binary(message));
                expected.extend(pong);
            }
            let mut reader = reader(Parameters { client_takeover: takeover, client_bits, ..PARAMETERS });
            prop_assert_eq!(read(&mut reader, &bytes, chunk).unwrap(), expected);
        }

        #[test]
        fn garbage_is_an_error_or_a_message(
            garbage in vec(vec(any::<u8>(), 0..200), 1..4),
            takeover in any::<bool>(),
            limit in 0..3000_usize,
        ) {
            let parameters = Parameters { client_takeover: takeover, ..PARAMETERS };
            let mut inflate = Inflate::new(parameters, limit);
            for garbage in garbage {
                match inflate.message(&garbage) {
                    Ok(message) => prop_assert!(message.len() <= limit),
                    Err(error) => {
                        prop_assert!(error == ReadError::Deflate || error == too_large(limit));
                        break;
                    }
                }
            }
        }
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            vec(any::<u8>(), 0..300),
            (vec(b'a'..=b'd', 1..100), 1..50_usize).prop_map(|(words, times)| words.repeat(times)),
            (any::<u8>(), 0..=LIMIT).prop_map(|(byte, len)| vec![byte; len]),
        ]
    }

    #[test]
    fn inflating_a_bomb_stops_at_the_limit() {
        let bomb = |len| {
            deflated(
                &mut Compress::new(Compression::best(), false),
                &vec![0; len],
                len.max(1),
                FlushCompress::None,
            )
        };
        for takeover in [false, true] {
            let inflate = |bomb: &[u8], limit| {
                let parameters = Parameters { client_takeover: takeover, ..PARAMETERS };
                Inflate::new(parameters, limit).message(bomb)
            };
            for limit in [0, 1, 63, 64, 65, 1000, 100_000] {
                let whole = inflate(&bomb(limit), limit).unwrap();
                assert_eq!(whole.len(), limit);
                assert!(
                    whole.capacity() <= (limit + 1).max(64),
                    "{} for {limit}",
                    whole.capacity()
                );
                for beyond in [limit + 1, 500_000] {
                    assert_eq!(inflate(&bomb(beyond), limit), Err(too_large(limit)));
                }
            }
        }
    }

    #[test]
    fn every_form_of_an_empty_message_is_accepted() {
        let mut reader = reader(PARAMETERS);
        for payload in [&[0][..], &[], &[2, 0, 0, 0, 0xff, 0xff, 0], &[3, 0, 0]] {
            let got = read(&mut reader, &masked(0xc1, payload), 100).unwrap();
            assert_eq!(got, [text("")], "{payload:?}");
        }
    }

    #[test]
    fn a_final_block_does_not_end_a_message() {
        // RFC 7692 section 7.2.3.4, once and twice.
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        for takeover in [false, true] {
            let mut reader = reader(Parameters { client_takeover: takeover, ..PARAMETERS });
            for _ in 0..2 {
                let bytes = masked(0xc1, &[&hello[..], &[0]].concat());
                assert_eq!(read(&mut reader, &bytes, 3).unwrap(), [text("Hello")]);
            }
            let bytes = masked(0xc1, &[&hello[..], &hello].concat());
            assert_eq!(read(&mut reader, &bytes, 3).unwrap(), [text("HelloHello")]);
            let endless = masked(0xc1, &[3, 0].repeat(2000));
            assert_eq!(read(&mut reader, &endless, 9000), Err(ReadError::Deflate));
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_decoded() {
        // RFC 7692 section 7.2.3: one frame, two fragments, and a reference to the previous
        // message.
        let mut reader = reader(Parameters { client_takeover: true, ..PARAMETERS });
        let one = masked(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        let two =
            [masked(0x41, &[0xf2, 0x48, 0xcd]), masked(0x80, &[0xc9, 0xc9, 0x07, 0x00])].concat();
        let again = masked(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00]);
        let stored = masked(0xc1, &[0, 5, 0, 0xfa, 0xff, b'H', b'e', b'l', b'l', b'o', 0]);
        for bytes in [one, two, again, stored] {
            assert_eq!(read(&mut reader, &bytes, 2).unwrap(), [text("Hello")]);
        }
    }

    #[test]
    fn a_misplaced_compression_bit_is_refused() {
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let continued = [masked(0x01, b"a"), masked(0xc0, &hello)].concat();
        for (bytes, error) in [
            (masked(0xc9, b""), RESERVED_BITS),
            (masked(0xc8, b""), RESERVED_BITS),
            (continued, RESERVED_BITS),
            (masked(0xe1, &hello), RESERVED_BITS),
            (masked(0x91, &hello), RESERVED_BITS),
            (masked(0xc3, &hello), ReadError::Frame(WebSocketError::UnknownOpcode(3))),
            // A stored block without the required repetition of its length.
            (masked(0xc2, &[0, 5, 0, 5, 0]), ReadError::Deflate),
            (
                masked(0xc1, &[0, 1, 0, 0xfe, 0xff, 0xff, 0]),
                ReadError::Frame(WebSocketError::InvalidUtf8),
            ),
        ] {
            assert_eq!(read(&mut reader(PARAMETERS), &bytes, 100), Err(error), "{bytes:x?}");
            let mut none = Reader::new(LIMIT, 1000, None);
            assert!(
                read(&mut none, &bytes, 100).is_err_and(|error| error.code() == 1002),
                "{bytes:x?}"
            );
        }
        let plain = masked(0x81, b"plain");
        let got = read(&mut reader(PARAMETERS), &plain, 100).unwrap();
        assert_eq!(got, [text("plain")]);
    }

    #[test]
    fn a_message_that_would_not_shrink_is_sent_uncompressed() {
        let mut deflate = Deflate::new(Parameters { threshold: 10, ..PARAMETERS });
        let mut compressed = |frames: Frames| {
            let frame = frames.iter().next().unwrap().clone();
            deflate.compress(&frame, Revision::V4, false).is_some()
        };
        let text = |len| Frames::from(Frame::text(PacketType::Message, &"x".repeat(len)));
        assert!(compressed(text(9)));
        assert!(!compressed(text(8)), "below the threshold");
        assert!(!compressed(text(100).compress(false)), "compression disabled");
        let noise: Vec<u8> =
            (0..100_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(!compressed(Frame::binary(noise.into()).into()), "noise");
    }

    #[test]
    fn every_form_of_a_frame_is_compressed() {
        let mut deflate = Deflate::new(PARAMETERS);
        let data = vec![0; 3000];
        let (text, binary) = (
            Frame::text(PacketType::Message, &"x".repeat(70_000)),
            Frame::binary(data.clone().into()),
        );
        for (frame, revision, b64, first, expected) in [
            (&text, Revision::V4, false, 0xc1, text.payload().to_vec()),
            (&text, Revision::V3, true, 0xc1, text.payload().to_vec()),
            (&binary, Revision::V4, false, 0xc2, data.clone()),
            (&binary, Revision::V3, false, 0xc2, [&[4][..], &data].concat()),
            (&binary, Revision::V4, true, 0xc1, binary.polling_text(Revision::V4).to_vec()),
            (&binary, Revision::V3, true, 0xc1, binary.polling_text(Revision::V3).to_vec()),
        ] {
            let compressed = deflate.compress(frame, revision, b64).unwrap();
            let payload = payload(first, &compressed.body);
            assert_eq!(inflated(&mut Decompress::new(false), payload), expected);
        }
    }

    #[test]
    fn a_broadcast_is_compressed_once() {
        let frames = share(Frame::text(PacketType::Message, &"x".repeat(3000)).into());
        let mut bodies = (0..2).map(|_| {
            let frame = frames.iter().next().unwrap().clone();
            Deflate::new(PARAMETERS).compress(&frame, Revision::V4, false).unwrap().body
        });
        assert_eq!(bodies.next().unwrap().as_ptr(), bodies.next().unwrap().as_ptr());
    }

    fn reader(parameters: Parameters) -> Reader {
        Reader::new(LONGEST, 1000, Some(Inflate::new(parameters, LONGEST)))
    }

    fn read(reader: &mut Reader, bytes: &[u8], chunk: usize) -> Result<Vec<String>, ReadError> {
        let mut out = Vec::new();
        for part in bytes.chunks(chunk) {
            reader.feed(&mut part.to_vec(), &mut Turn::endless(), |incoming| {
                out.push(format!("{incoming:?}"));
            })?;
        }
        Ok(out)
    }

    fn text(text: &str) -> String {
        format!("{:?}", Incoming::Message(Message::Text(text.into())))
    }

    fn binary(data: Vec<u8>) -> String {
        format!("{:?}", Incoming::Message(Message::Binary(data.into())))
    }

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        encode(first, Some([1, 2, 3, 4]), payload)
    }

    /// Returns the payload of a server's frame. Checks that the frame begins with `first`.
    fn payload(first: u8, frame: &[u8]) -> &[u8] {
        assert_eq!(frame[0], first);
        let (header, len) = Header::parse(frame).unwrap().unwrap();
        let payload = &frame[len..];
        assert_eq!(payload.len() as u64, header.payload_len);
        payload
    }

    /// Compresses a peer's message, flushed after every `piece` bytes.
    fn deflated(
        peer: &mut Compress,
        message: &[u8],
        piece: usize,
        flush: FlushCompress,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * message.len() + 100 + message.len() / piece * 10);
        for piece in message.chunks(piece) {
            peer.compress_vec(piece, &mut out, flush).unwrap();
        }
        peer.compress_vec(&[], &mut out, FlushCompress::Sync).unwrap();
        // A flush without new data writes nothing. RFC 7692 section 7.2.3.6 defines the form of
        // such a message.
        if out.is_empty() {
            return vec![0];
        }
        out.truncate(out.len() - TAIL.len());
        out
    }

    fn inflated(peer: &mut Decompress, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(200_000);
        for part in [payload, &TAIL] {
            let status = peer.decompress_vec(part, &mut out, FlushDecompress::Sync).unwrap();
            assert_ne!(status, Status::StreamEnd);
        }
        out
    }
}
