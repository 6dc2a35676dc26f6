//! An announced length is checked against the input. It never makes the decoder overflow, allocate
//! or read too far.

use engineio_parser::{FramingError, PayloadError, Revision, payload, webtransport::Decoder};

fn first_error(body: &[u8], binary: bool) -> Option<PayloadError> {
    payload::decode(Revision::V3, body.to_vec().into(), binary).find_map(Result::err)
}

#[test]
fn a_wrong_length_of_a_text_packet_is_an_error() {
    for length in ["2", "18446744073709551615", "18446744073709551617", &"9".repeat(310)] {
        let body = format!("{length}:4");
        assert_eq!(
            first_error(body.as_bytes(), false),
            Some(PayloadError::LengthMismatch),
            "{body}"
        );
    }
    for length in ["", "-1", "+1", " 1", "1.", "1e0", "0x1", "\u{661}", &"0".repeat(311)] {
        let body = format!("{length}:4");
        assert_eq!(
            first_error(body.as_bytes(), false),
            Some(PayloadError::InvalidLength),
            "{body}"
        );
    }
}

#[test]
fn a_wrong_length_of_a_binary_packet_is_an_error() {
    for (length, error) in [
        (vec![2], PayloadError::LengthMismatch),
        (vec![9; 20], PayloadError::LengthMismatch),
        (vec![9; 310], PayloadError::LengthMismatch),
        (vec![9; 311], PayloadError::InvalidLength),
        (vec![10], PayloadError::InvalidLength),
        (vec![b'1'], PayloadError::InvalidLength),
        (vec![], PayloadError::InvalidLength),
    ] {
        for marker in [0, 1] {
            let body = [&[marker][..], &length, b"\xff4"].concat();
            assert_eq!(first_error(&body, true), Some(error), "{body:?}");
        }
    }
}

#[test]
fn a_length_without_its_end_marker_is_an_error() {
    for body in [&b"1"[..], b"11111", b"1:61"] {
        assert_eq!(first_error(body, false), Some(PayloadError::InvalidLength));
    }
    for body in [&b"\x00"[..], b"\x01\x01", b"\x00\x01\xff6\x01"] {
        assert_eq!(first_error(body, true), Some(PayloadError::InvalidLength));
    }
}

#[test]
fn a_large_webtransport_length_allocates_nothing() {
    // Allocating any of these lengths would abort the process.
    for len in [1_u64 << 40, 1 << 62, u64::MAX] {
        let header = [&[0xff][..], &len.to_be_bytes()].concat();
        let mut decoder = Decoder::new(u64::MAX);
        decoder.push(&header);
        decoder.push(b"some of it");
        assert_eq!(decoder.next(), Ok(None));

        let max_payload = len - 1;
        let mut decoder = Decoder::new(max_payload);
        decoder.push(&header);
        assert_eq!(decoder.next(), Err(FramingError::TooLong { len, max_payload }));
    }
}
