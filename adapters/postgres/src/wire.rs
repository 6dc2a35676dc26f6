//! The forms of a message in notifications: JSON, or a header that says where in the table the message lies.

use bytes::Bytes;
use serde::Deserialize;
use socketio_adapter::{ClusterLimits, Message, MessageError};

/// How a message is sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Form {
    /// As the notification itself.
    Inline(String),
    /// As a row of the table; the notification is `before`, the row's id and `after`.
    Attached { payload: Bytes, before: String, after: &'static str },
}

pub(crate) fn form(
    message: &Message,
    threshold: usize,
    limits: &ClusterLimits,
) -> Result<Form, MessageError> {
    if let Ok(json) = message.to_json()
        && json.len() < threshold
    {
        return Ok(Form::Inline(json));
    }
    let payload = message.to_msgpack();
    let (bytes, limit) = (payload.len(), limits.get_max_message_bytes());
    if bytes > limit {
        return Err(MessageError::TooLarge { bytes, limit });
    }
    let uid = serde_json::Value::from(message.uid.as_str());
    let number = message.body.number();
    let before = format!(r#"{{"uid":{uid},"type":{number},"attachmentId":""#);
    Ok(Form::Attached { payload, before, after: r#""}"# })
}

/// What a notification says of a message that lies in the table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    uid: Option<String>,
    attachment_id: Option<String>,
}

/// A message in the table.
#[derive(Debug, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) uid: String,
    pub(crate) id: i64,
}

/// Whether a notification is the header of an attachment.
pub(crate) fn attachment(notification: &str) -> Result<Option<Attachment>, MessageError> {
    // What holds its message itself, the usual case, is not read twice.
    if !notification.contains(r#""attachmentId""#) {
        return Ok(None);
    }
    let header: Header = serde_json::from_str(notification)
        .map_err(|_| MessageError::Malformed("not the header of an attachment"))?;
    let Some(id) = header.attachment_id else { return Ok(None) };
    let id = id.parse().map_err(|_| MessageError::Field("attachmentId"))?;
    let uid = header.uid.ok_or(MessageError::Field("uid"))?;
    Ok(Some(Attachment { uid, id }))
}

#[cfg(test)]
mod tests {
    use socketio_adapter::{Body, Selection, event_args};
    use socketio_parser::Binary;

    use super::*;

    fn say(args: &impl serde::Serialize) -> Message {
        let args = event_args("x", args).unwrap();
        let body = Body::Broadcast { args, selection: Selection::default(), request: None };
        Message { uid: "0a785282676f06c9".into(), nsp: "/".into(), body }
    }

    #[test]
    fn what_is_small_and_text_is_the_notification() {
        let message = say(&1);
        let json = message.to_json().unwrap();
        let limits = ClusterLimits::default();
        assert_eq!(form(&message, 8000, &limits).unwrap(), Form::Inline(json.clone()));
        let at = form(&message, json.len(), &limits).unwrap();
        assert!(matches!(at, Form::Attached { .. }), "the threshold itself is too much");
        assert_eq!(attachment(&json).unwrap(), None);
    }

    #[test]
    fn binary_lies_in_the_table_and_the_header_says_where() {
        let message = say(&Binary(Bytes::from_static(&[1])));
        let form = form(&message, 8000, &ClusterLimits::default()).unwrap();
        let Form::Attached { payload, before, after } = form else { panic!("{form:?}") };
        assert_eq!(payload, message.to_msgpack());
        let header = format!("{before}17{after}");
        assert_eq!(header, r#"{"uid":"0a785282676f06c9","type":3,"attachmentId":"17"}"#);
        let found = attachment(&header).unwrap();
        assert_eq!(found, Some(Attachment { uid: "0a785282676f06c9".into(), id: 17 }));
    }

    #[test]
    fn what_is_too_large_for_others_is_not_sent() {
        let limits = ClusterLimits::default().max_message_bytes(10_000);
        let error = form(&say(&"x".repeat(10_000)), 8000, &limits).unwrap_err();
        assert!(matches!(error, MessageError::TooLarge { limit: 10_000, .. }));
    }

    #[test]
    fn headers_of_anybody_are_borne() {
        for bad in
            [r#"{"attachmentId":"x","uid":"1"}"#, r#"{"attachmentId":"1"}"#, r#"["attachmentId""#]
        {
            assert!(attachment(bad).is_err(), "{bad}");
        }
        assert_eq!(attachment(r#"{"type":3,"data":["\"attachmentId\""]}"#).unwrap(), None);
    }
}
