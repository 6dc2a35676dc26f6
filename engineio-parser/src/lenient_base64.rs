//! Base64, encoded strictly and decoded as leniently as Node's `Buffer` does it.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use bytes::Bytes;

const STRICT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 without failing. Skips bytes outside both alphabets; padding ends the data.
pub(crate) fn decode(input: &[u8]) -> Vec<u8> {
    STRICT.decode(input).unwrap_or_else(|_| decode_slowly(input))
}

/// Encodes `data` as standard base64 with padding, behind `prefix`.
pub(crate) fn encode(prefix: &str, data: &[u8]) -> Bytes {
    let mut packet = String::with_capacity(prefix.len() + data.len().div_ceil(3) * 4);
    packet.push_str(prefix);
    STANDARD.encode_string(data, &mut packet);
    packet.into()
}

fn decode_slowly(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for sextet in input.iter().take_while(|&&byte| byte != b'=').filter_map(|&byte| sextet(byte)) {
        bits = bits << 6 | sextet;
        count += 6;
        if count >= 8 {
            count -= 8;
            output.push((bits >> count) as u8);
        }
    }
    output
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient_decoding_matches_node() {
        for (input, output) in [
            ("YWJj", "abc"),
            ("YWI=", "ab"),
            ("YWI", "ab"),
            ("YWJ", "ab"),
            ("YWJjZ", "abc"),
            ("Y W\nJj", "abc"),
            ("YWJj=ZGVm", "abc"),
            ("YQ==!", "a"),
            ("Y=Q=", ""),
            ("=bad", ""),
            ("*", ""),
            ("", ""),
        ] {
            assert_eq!(decode(input.as_bytes()), output.as_bytes(), "{input:?}");
        }
        assert_eq!(decode(b"-_-_"), decode(b"+/+/"));
    }

    #[test]
    fn the_fast_decoder_agrees_with_the_slow_one() {
        for input in ["", "YQ", "YQ==", "YWJj", "YWJjZGVmZw=="] {
            assert_eq!(STRICT.decode(input).unwrap(), decode_slowly(input.as_bytes()));
        }
    }
}
