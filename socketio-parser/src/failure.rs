//! Acks of failed handlers: the error that the other side sent in place of a value.

use std::cell::Cell;

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer, Visitor,
        value::{self, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
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
pub enum DecodeAckError {
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
    /// that failed. If `T` has a field `error` or accepts any value, such as `serde_json::Value`,
    /// the object is returned as the value. For every other type it is a failure, even if all
    /// fields of the type are optional, so that the object could be decoded.
    ///
    /// ```
    /// use socketio_parser::{DecodeAckError, Content, Decoder, Limits};
    ///
    /// let mut decoder = Decoder::new(&Limits::default());
    /// let packet = decoder.decode_text(r#"31[{"error":"sold out"}]"#.into())?;
    /// let Some(Content::Ack { args, .. }) = packet.map(|packet| packet.content) else { panic!() };
    /// let refused = args.decode_ack::<u32>();
    /// assert!(matches!(refused, Err(DecodeAckError::Refused { message, .. }) if message == "sold out"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// An ack without arguments decodes as `null` for a type that needs an argument, as in Node.
    ///
    /// ```
    /// # use socketio_parser::{Content, Decoder, Limits};
    /// # let mut decoder = Decoder::new(&Limits::default());
    /// # let packet = decoder.decode_text("31[]".into())?;
    /// # let Some(Content::Ack { args, .. }) = packet.map(|packet| packet.content) else { panic!() };
    /// assert_eq!(args.decode_ack::<serde_json::Value>()?, serde_json::Value::Null);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the handler on the other side failed, or if an argument is missing or of
    /// another type.
    pub fn decode_ack<T: DeserializeOwned>(&self) -> Result<T, DecodeAckError> {
        match self.decode() {
            Err(error) if self.is_empty() => {
                from_json("null").map_err(|_| DecodeAckError::Decode(error))
            }
            Err(error) => Err(self.refusal().unwrap_or(DecodeAckError::Decode(error))),
            Ok(value) if ignores_error::<T>() => self.refusal().map_or(Ok(value), Err),
            Ok(value) => Ok(value),
        }
    }

    /// Returns the failure that this ack reports, if it has the shape of one.
    fn refusal(&self) -> Option<DecodeAckError> {
        // The derived implementation would also accept a list.
        if self.len() != 1 || !self.raw().trim_start().starts_with('{') {
            return None;
        }
        let Refusal { error, data } = self.decode().ok()?;
        Some(DecodeAckError::Refused { message: error, data })
    }
}

/// Returns whether `T` ignores the field `error` of an object, or everything.
fn ignores_error<T: DeserializeOwned>() -> bool {
    let ignored = Cell::new(size_of::<T>() == 0);
    let _ = T::deserialize(Probe { ignored: &ignored, level: Level::Arguments });
    ignored.get()
}

/// A deserializer of an object with the field `error`, which records whether the field is ignored.
#[derive(Clone, Copy)]
struct Probe<'c> {
    ignored: &'c Cell<bool>,
    level: Level,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The list of arguments, or its only argument.
    Arguments,
    Argument,
    /// The value of the field.
    Error,
}

impl<'de> IntoDeserializer<'de> for Probe<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.level == Level::Error {
            return Err(value::Error::custom("the field is read"));
        }
        let field = Self { level: Level::Error, ..self };
        visitor.visit_map(MapDeserializer::new([("error", field)].into_iter()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if self.level != Level::Arguments {
            return self.deserialize_any(visitor);
        }
        let argument = Self { level: Level::Argument, ..self };
        visitor.visit_seq(SeqDeserializer::new([argument].into_iter()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.ignored.set(true);
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq map struct enum identifier
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fmt};

    use serde_json::json;

    use super::*;
    use crate::{Content, Decoder, Limits, Values};

    fn ack(list: &str) -> Args {
        let packet = Decoder::new(&Limits::default()).decode_text(format!("31{list}").into());
        let Content::Ack { args, .. } = packet.unwrap().unwrap().content else { panic!() };
        args
    }

    fn refused<T: DeserializeOwned + fmt::Debug>(list: &str) -> Option<(String, Option<Value>)> {
        match ack(list).decode_ack::<T>() {
            Err(DecodeAckError::Refused { message, data }) => Some((message, data)),
            Err(DecodeAckError::Decode(_)) | Ok(_) => None,
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
        let mine = ack(r#"[{"error":"no"}]"#).decode_ack::<Mine>().unwrap();
        assert_eq!(mine.error, "no");
        let value = ack(r#"[{"error":"no"}]"#).decode_ack::<Value>().unwrap();
        assert_eq!(value, json!({ "error": "no" }));
        ack(r#"[{"error":"no"}]"#).decode_ack::<Values>().unwrap();
        ack(r#"[{"error":"no"}]"#).decode_ack::<HashMap<String, String>>().unwrap();
        ack(r#"[{"error":"no"}]"#).decode_ack::<(Mine, Option<u32>)>().unwrap();
    }

    #[test]
    fn a_type_that_ignores_the_error_gets_the_refusal() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only decoded")]
        struct Profile {
            name: Option<String>,
            data: Option<Value>,
        }
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        struct Defaults {
            count: u32,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only decoded")]
        struct New(Profile);
        let plain = Some(("no".to_owned(), None));
        let list = r#"[{"error":"no"}]"#;
        assert_eq!(refused::<Profile>(list), plain);
        assert_eq!(refused::<Option<Profile>>(list), plain);
        assert_eq!(refused::<New>(list), plain);
        assert_eq!(refused::<Defaults>(list), plain);
        assert_eq!(refused::<(Profile, Option<u32>)>(list), plain);
        assert_eq!(
            refused::<(Profile,)>(r#"[{"error":"no","data":1}]"#).unwrap().1,
            Some(json!(1))
        );
        // Values of other shapes stay values.
        for value in [r#"[{"name":"a"}]"#, r#"[{"error":1}]"#, r#"[{"error":"no","name":"a"}]"#] {
            ack(value).decode_ack::<Profile>().unwrap();
        }
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
    fn the_shape_of_an_ack_decides_for_types_without_content() {
        assert_eq!(refused::<()>(r#"[{"error":"no"}]"#), Some(("no".to_owned(), None)));
        for legal in ["[]", "[1]", r#"[{"error":1}]"#] {
            ack(legal).decode_ack::<()>().unwrap();
        }
    }
}
