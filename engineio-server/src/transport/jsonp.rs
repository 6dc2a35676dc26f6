//! Long-polling for browsers that cannot ask other origins: a response is a script, a request a form.

use bytes::Bytes;

/// Digits of a callback's number that are kept: clients count from 0.
const MAX_DIGITS: usize = 20;

/// The callback that the responses of a session call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jsonp(Box<str>);

impl Jsonp {
    /// From the `j` parameter. Nothing but digits is taken from it: it becomes part of a script.
    pub(crate) fn new(j: &str) -> Self {
        Self(j.chars().filter(char::is_ascii_digit).take(MAX_DIGITS).collect())
    }

    /// The script that hands a text payload to the callback.
    pub(crate) fn script(&self, payload: &[u8]) -> Bytes {
        let text = serde_json::Value::from(String::from_utf8_lossy(payload));
        // JSON is no subset of the JavaScript of old: there these two end a line.
        let text = text.to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        format!("___eio[{}]({text});", self.0).into()
    }
}

/// The payload in the field `d` of a form, if there is just one. Browsers change line feeds in forms, so that clients
/// escape them: `\n` is a line feed, `\\n` is `\n`.
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
    // Messages are slices of it: it must not be larger than they are.
    Some(payload.into_boxed_str().into_boxed_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_query_or_the_payload_gets_out_of_its_place() {
        let jsonp = Jsonp::new("1](alert(2));//3");
        assert_eq!(jsonp.script(b"4a"), "___eio[123](\"4a\");");
        assert_eq!(Jsonp::new("").script(b"2"), "___eio[](\"2\");");
        assert_eq!(Jsonp::new(&"9".repeat(100)).0.len(), MAX_DIGITS);
        let script = Jsonp::new("0").script("4\"\\\n\u{1e}</\u{2028}\u{2029}é".as_bytes());
        assert_eq!(script, "___eio[0](\"4\\\"\\\\\\n\\u001e</\\u2028\\u2029é\");");
    }

    #[test]
    fn a_form_holds_one_payload() {
        let payload = |form: &str| payload_of_form(form.as_bytes());
        assert_eq!(payload("d=4%C3%A9+b").unwrap(), "4é b");
        assert_eq!(payload("x=1&d=4a&y=2").unwrap(), "4a");
        assert_eq!(payload("d=").unwrap(), "");
        for form in ["", "x=4a", "d=4a&d=4b", "%64%64=4a"] {
            assert_eq!(payload(form), None, "{form}");
        }
    }

    #[test]
    fn line_feeds_are_escaped_as_node_does_it() {
        // By Node: `data.replace(/(\\)?\\n/g, …).replace(/\\\\n/g, "\\n")`.
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
