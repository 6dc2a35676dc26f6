//! JSONP: long-polling for browsers that cannot send requests to other origins. A response is a
//! script, and a request is a form.

use bytes::Bytes;

/// Maximum length of a callback's number in digits. Longer numbers are cut off. Clients count from
/// 0.
const MAX_DIGITS: usize = 20;

/// The number of the callback that the responses of a session call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jsonp(Box<str>);

impl Jsonp {
    /// Reads the `j` parameter. Keeps only its digits, because they become part of a script.
    pub(crate) fn new(j: &str) -> Self {
        Self(j.chars().filter(char::is_ascii_digit).take(MAX_DIGITS).collect())
    }

    /// Returns the script that passes a text payload to the callback.
    pub(crate) fn script(&self, payload: &[u8]) -> Bytes {
        let text = serde_json::Value::from(String::from_utf8_lossy(payload));
        // Before ES2019, JSON was not a subset of JavaScript: these two characters ended a line.
        let text = text.to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        format!("___eio[{}]({text});", self.0).into()
    }
}

/// Returns the payload in the field `d` of a form, or `None` unless the form has exactly one.
/// Browsers change line feeds in forms, so clients escape them: `\n` stands for a line feed, and
/// `\\n` for `\n`.
pub(crate) fn payload_of_form(form: &[u8]) -> Option<Bytes> {
    let mut fields = form_urlencoded::parse(form).filter(|(name, _)| name == "d");
    let (_, data) = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    let mut payload = String::with_capacity(data.len());
    let mut rest = &*data;
    while let Some((before, after)) = rest.split_once('\\') {
        payload.push_str(before);
        rest = if let Some(after) = after.strip_prefix("\\n") {
            payload.push_str("\\n");
            after
        } else if let Some(after) = after.strip_prefix('n') {
            payload.push('\n');
            after
        } else {
            payload.push('\\');
            after
        };
    }
    payload.push_str(rest);
    // Messages are slices of this buffer, so it must not be larger than they are.
    Some(payload.into_boxed_str().into_boxed_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_and_payload_cannot_inject_script() {
        let jsonp = Jsonp::new("1](alert(2));//3");
        assert_eq!(jsonp.script(b"4a"), "___eio[123](\"4a\");");
        assert_eq!(Jsonp::new("").script(b"2"), "___eio[](\"2\");");
        assert_eq!(Jsonp::new(&"9".repeat(100)).0.len(), MAX_DIGITS);
        let script = Jsonp::new("0").script("4\"\\\n\u{1e}</\u{2028}\u{2029}é".as_bytes());
        assert_eq!(script, "___eio[0](\"4\\\"\\\\\\n\\u001e</\\u2028\\u2029é\");");
    }

    #[test]
    fn a_form_has_exactly_one_payload() {
        let payload = |form: &str| payload_of_form(form.as_bytes());
        assert_eq!(payload("d=4%C3%A9+b").unwrap(), "4é b");
        assert_eq!(payload("x=1&d=4a&y=2").unwrap(), "4a");
        assert_eq!(payload("d=").unwrap(), "");
        for form in ["", "x=4a", "d=4a&d=4b", "%64%64=4a"] {
            assert_eq!(payload(form), None, "{form}");
        }
    }

    #[test]
    fn line_feeds_are_unescaped_as_in_node() {
        // Node decodes with `data.replace(/(\\)?\\n/g, …).replace(/\\\\n/g, "\\n")`.
        for (escaped, payload) in [
            (r"a\nb", "a\nb"),
            (r"a\\nb", r"a\nb"),
            (r"a\\\nb", r"a\\nb"),
            (r"\n\n\\n\", "\n\n\\n\\"),
            (r"\t\\", r"\t\\"),
        ] {
            let form =
                form_urlencoded::Serializer::new(String::new()).append_pair("d", escaped).finish();
            assert_eq!(payload_of_form(form.as_bytes()).unwrap(), payload, "{escaped}");
        }
    }
}
