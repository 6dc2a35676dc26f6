//! The formats of a notification: a message as JSON, or a header with the id of the message's row.

use bytes::Bytes;
use serde::Deserialize;
use socketio_adapter::{ClusterLimits, Message, MessageError};

/// The beginning of the notification of a message in the log. Node's adapters ignore the field.
const OFFSET: &str = r#"{"offset":""#;

/// The longest offset that [`OFFSET`] adds to a notification, with its name and punctuation.
pub(crate) const MAX_OFFSET: usize = OFFSET.len() + 19 + r#"","#.len();

/// The format in which a message is sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Form {
    /// The notification contains the message.
    Inline(String),
    /// A row of the table contains the message. The notification is `before`, the id of the row and
    /// `after`.
    Attached { payload: Bytes, before: String, after: &'static str },
}

/// Chooses the form of a message, of which the offset of the log takes at most `offset` bytes.
///
/// Fails if the message exceeds `max_message_bytes` in this form, because the other nodes refuse it.
pub(crate) fn choose_form(
    message: &Message,
    threshold: usize,
    offset: usize,
    limits: &ClusterLimits,
) -> Result<Form, MessageError> {
    if let Ok(json) = message.to_json()
        && json.len() + offset < threshold
    {
        limits.check_size(json.len() + offset)?;
        return Ok(Form::Inline(json));
    }
    let payload = message.to_msgpack();
    limits.check_size(payload.len())?;
    let uid = serde_json::Value::from(message.uid.as_str());
    let number = message.body.type_number();
    let before = format!(r#"{{"uid":{uid},"type":{number},"attachmentId":""#);
    Ok(Form::Attached { payload, before, after: r#""}"# })
}

/// Parses the offset of a message in the log.
pub(crate) fn offset(notification: &str) -> Option<i64> {
    notification.strip_prefix(OFFSET)?.split_once('"')?.0.parse().ok()
}

/// The notification for a message in the table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    uid: Option<String>,
    attachment_id: Option<String>,
}

/// A reference to a message in the table.
#[derive(Debug, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) uid: String,
    pub(crate) id: i64,
}

/// Parses a notification. Returns `None` if it contains its message.
pub(crate) fn attachment(notification: &str) -> Result<Option<Attachment>, MessageError> {
    // This check avoids parsing the common case twice.
    if !notification.contains(r#""attachmentId""#) {
        return Ok(None);
    }
    let header: Header = serde_json::from_str(notification)
        .map_err(|_| MessageError::Malformed("not the header of an attachment"))?;
    let Some(id) = header.attachment_id else { return Ok(None) };
    let id = id.parse().map_err(|_| MessageError::InvalidField("attachmentId"))?;
    let uid = header.uid.ok_or(MessageError::InvalidField("uid"))?;
    Ok(Some(Attachment { uid, id }))
}

#[cfg(test)]
mod tests {
    use socketio_adapter::{Body, Selection, event_args};
    use socketio_parser::Binary;
    use socketio_parser::Nsp;

    use super::*;

    fn message_with(args: &impl serde::Serialize) -> Message {
        let args = event_args("x", args).unwrap();
        let body = Body::Broadcast { args, selection: Selection::default(), request: None };
        Message { uid: "0a785282676f06c9".into(), nsp: Nsp::root(), body, seq: None }
    }

    #[test]
    fn a_small_text_message_is_sent_inline() {
        let message = message_with(&1);
        let json = message.to_json().unwrap();
        let limits = ClusterLimits::default();
        assert_eq!(choose_form(&message, 8000, 0, &limits).unwrap(), Form::Inline(json.clone()));
        let at = choose_form(&message, json.len(), 0, &limits).unwrap();
        assert!(matches!(at, Form::Attached { .. }), "a message of the threshold size is attached");
        assert_eq!(attachment(&json).unwrap(), None);
    }

    #[test]
    fn a_binary_message_is_attached_and_the_header_names_its_row() {
        let message = message_with(&Binary(Bytes::from_static(&[1])));
        let form = choose_form(&message, 8000, 0, &ClusterLimits::default()).unwrap();
        let Form::Attached { payload, before, after } = form else { panic!("{form:?}") };
        assert_eq!(payload, message.to_msgpack());
        let header = format!("{before}17{after}");
        assert_eq!(header, r#"{"uid":"0a785282676f06c9","type":3,"attachmentId":"17"}"#);
        let found = attachment(&header).unwrap();
        assert_eq!(found, Some(Attachment { uid: "0a785282676f06c9".into(), id: 17 }));
    }

    #[test]
    fn a_message_that_is_too_large_is_refused() {
        let limits = ClusterLimits::default().max_message_bytes(10_000);
        let error = choose_form(&message_with(&"x".repeat(10_000)), 8000, 0, &limits).unwrap_err();
        assert!(matches!(error, MessageError::TooLarge { limit: 10_000, .. }));
    }

    #[test]
    fn malformed_headers_are_refused() {
        for bad in
            [r#"{"attachmentId":"x","uid":"1"}"#, r#"{"attachmentId":"1"}"#, r#"["attachmentId""#]
        {
            assert!(attachment(bad).is_err(), "{bad}");
        }
        assert_eq!(attachment(r#"{"type":3,"data":["\"attachmentId\""]}"#).unwrap(), None);
    }

    /// Mutated notifications. A message that is accepted survives both forms.
    #[test]
    fn postgres_wire() {
        let limits = ClusterLimits::default();
        let texts = [
            message_with(&1).to_json().unwrap(),
            message_with(&"x".repeat(200)).to_json().unwrap(),
            r#"{"uid":"0a785282676f06c9","type":3,"attachmentId":"17"}"#.to_owned(),
            format!("{OFFSET}12\",\"uid\":\"a\",\"type\":2}}"),
        ];
        let mut seeds: Vec<_> = texts.map(String::into_bytes).into();
        seeds.push(message_with(&Binary(Bytes::from_static(&[1]))).to_msgpack().to_vec());
        fuzz::run("postgres_wire", 5000, &seeds, |input| {
            if let Ok(text) = str::from_utf8(input) {
                let _ = (offset(text), attachment(text));
            }
            let Ok(message) = Message::decode(input, &limits) else { return };
            match choose_form(&message, 100, 0, &limits).unwrap() {
                Form::Inline(json) => assert!(Message::decode(json.as_bytes(), &limits).is_ok()),
                Form::Attached { before, after, .. } => {
                    let found = attachment(&format!("{before}17{after}")).unwrap().unwrap();
                    assert_eq!((found.uid.as_str(), found.id), (message.uid.as_str(), 17));
                }
            }
        });
    }
}
