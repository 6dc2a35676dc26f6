//! Acks of failed handlers: the error that the other side sent in place of a value.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{args::Args, error::ArgsError, from_json};

/// The ack of a handler that failed: `{ "error": "…", "data": … }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    error: String,
    data: Option<Value>,
}

/// The reason why an ack has no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The handler on the other side failed.
    #[error("{message}")]
    Refused {
        /// The error's message.
        message: String,
        /// The data beside the message.
        data: Option<Value>,
    },
    /// The ack's value is of another type.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

impl Args {
    /// Decodes the arguments of an ack like [`decode`](Self::decode), or returns the failure that
    /// the other side reports in their place.
    ///
    /// Servers and clients of this project send `{ "error": message, "data": … }` for a handler
    /// that failed. This is a failure only if it cannot be decoded as `T`. A type that accepts such
    /// an object gets it as a value. Every value decodes as a type without a size, such as `()`.
    /// For such a type the shape decides.
    ///
    /// ```
    /// use socketio_parser::{AnswerError, Content, Decoder, Limits};
    ///
    /// let mut decoder = Decoder::new(&Limits::default());
    /// let packet = decoder.decode_text(r#"31[{"error":"sold out"}]"#.into())?;
    /// let Some(Content::Ack { args, .. }) = packet.map(|packet| packet.content) else { panic!() };
    /// let refused = args.decode_answer::<u32>();
    /// assert!(matches!(refused, Err(AnswerError::Refused { message, .. }) if message == "sold out"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// An acknowledgement without arguments is `null` for a type that needs one, as in Node.
    ///
    /// ```
    /// # use socketio_parser::{Content, Decoder, Limits};
    /// # let mut decoder = Decoder::new(&Limits::default());
    /// # let packet = decoder.decode_text("31[]".into())?;
    /// # let Some(Content::Ack { args, .. }) = packet.map(|packet| packet.content) else { panic!() };
    /// assert_eq!(args.decode_answer::<serde_json::Value>()?, serde_json::Value::Null);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the handler on the other side failed, or if an argument is missing or of
    /// another type.
    pub fn decode_answer<T: DeserializeOwned>(&self) -> Result<T, AnswerError> {
        if size_of::<T>() == 0
            && let Some(refusal) = self.refusal()
        {
            return Err(refusal);
        }
        match self.decode() {
            Err(error) if self.is_empty() => {
                from_json("null").map_err(|_| AnswerError::Decode(error))
            }
            result => result.map_err(|error| self.refusal().unwrap_or(AnswerError::Decode(error))),
        }
    }

    /// Returns the failure that this ack reports, if it has the shape of one.
    fn refusal(&self) -> Option<AnswerError> {
        // The derived implementation would also accept a list.
        if self.len() != 1 || !self.raw().trim_start().starts_with('{') {
            return None;
        }
        let Refusal { error, data } = self.decode().ok()?;
        Some(AnswerError::Refused { message: error, data })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde_json::json;

    use super::*;
    use crate::{Content, Decoder, Limits, Values};

    fn answer(list: &str) -> Args {
        let packet = Decoder::new(&Limits::default()).decode_text(format!("31{list}").into());
        let Content::Ack { args, .. } = packet.unwrap().unwrap().content else { panic!() };
        args
    }

    fn refused<T: DeserializeOwned + fmt::Debug>(list: &str) -> Option<(String, Option<Value>)> {
        match answer(list).decode_answer::<T>() {
            Err(AnswerError::Refused { message, data }) => Some((message, data)),
            Err(AnswerError::Decode(_)) | Ok(_) => None,
        }
    }

    #[test]
    fn an_ack_of_a_failed_handler_is_a_refusal_unless_it_decodes_as_a_value() {
        let plain = Some(("no".to_owned(), None));
        assert_eq!(refused::<u32>(r#"[{"error":"no"}]"#), plain);
        assert_eq!(refused::<Option<u32>>(r#"[ {"error":"no"} ]"#), plain);
        assert_eq!(refused::<(u32, u32)>(r#"[{"error":"no"}]"#), plain);
        let with_data = Some(("no".to_owned(), Some(json!({ "code": 7 }))));
        assert_eq!(refused::<String>(r#"[{"error":"no","data":{"code":7}}]"#), with_data);
    }

    #[test]
    fn a_type_that_accepts_the_shape_of_a_refusal_gets_it_as_a_value() {
        #[derive(Debug, Deserialize)]
        struct Mine {
            error: String,
        }
        let mine = answer(r#"[{"error":"no"}]"#).decode_answer::<Mine>().unwrap();
        assert_eq!(mine.error, "no");
        let value = answer(r#"[{"error":"no"}]"#).decode_answer::<Value>().unwrap();
        assert_eq!(value, json!({ "error": "no" }));
        answer(r#"[{"error":"no"}]"#).decode_answer::<Values>().unwrap();
    }

    #[test]
    fn other_shapes_are_of_another_type() {
        for other in [
            r#"[{"error":"no","more":1}]"#,
            r#"[{"error":1}]"#,
            r#"[{"data":1}]"#,
            r#"[["no"]]"#,
            r#"[["no",1]]"#,
            r#"[{"error":"no"},1]"#,
            r#"["no"]"#,
            "[]",
        ] {
            assert_eq!(refused::<u32>(other), None, "{other}");
        }
    }

    #[test]
    fn the_shape_decides_for_types_that_hold_nothing() {
        assert_eq!(refused::<()>(r#"[{"error":"no"}]"#), Some(("no".to_owned(), None)));
        for legal in ["[]", "[1]", r#"[{"error":1}]"#] {
            answer(legal).decode_answer::<()>().unwrap();
        }
    }
}
