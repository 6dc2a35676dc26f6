//! Dynamic values that may contain binary.

use std::{fmt, ops::Index};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::{Error as _, SerializeSeq, SerializeTuple},
};
use serde_json::Number;

use crate::{
    args::Args,
    binary::{self, Binary},
    error::ArgsError,
    list::{ALL_ARGS, RAW_ARGS},
    object::Object,
};

/// Any value that a packet may carry: JSON, with binary at any depth. [`value!`](crate::value)
/// builds one.
///
/// Numbers and the order of keys are kept as `serde_json::Value` keeps them.
///
/// ```
/// use socketio_parser::{Value, value};
///
/// let value = value!({ "name": "a.png", "body": bytes::Bytes::from("…"), "tags": ["x", null] });
/// assert_eq!(value.get("name").and_then(Value::as_str), Some("a.png"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// Bytes, which are sent as an attachment.
    Binary(Bytes),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// Returns the member `key` of an object, or the item at an index of an array.
    ///
    /// ```
    /// use socketio_parser::{Value, value};
    ///
    /// let value = value!({ "users": [{ "id": 7 }] });
    /// let user = value.get("users").and_then(|users| users.get(0));
    /// assert_eq!(user.and_then(|user| user.get("id")).and_then(Value::as_u64), Some(7));
    /// assert_eq!(value["users"][0]["id"].as_u64(), Some(7));
    /// ```
    pub fn get(&self, index: impl ValueIndex) -> Option<&Value> {
        index.find(self)
    }

    /// Returns whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns the value, if this is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the number, if this is an integer that fits an `i64`. A number that was written with
    /// a fraction or an exponent is not an integer, as in `serde_json`.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Returns the number, if this is an integer that fits a `u64`. See [`as_i64`](Self::as_i64).
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// Returns the number as the nearest `f64`, if this is a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// Returns the text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes, if this is binary.
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the items, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the members, if this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// A key of an object or an index of an array, for [`Value::get`].
pub trait ValueIndex {
    /// Returns the part of `value` at this index.
    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value>;
}

impl<T: AsRef<str> + ?Sized> ValueIndex for &T {
    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.as_object()?.get(self.as_ref())
    }
}

impl ValueIndex for usize {
    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.as_array()?.get(*self)
    }
}

/// Like [`Value::get`], but returns [`Value::Null`] if there is no such part, and so never panics.
impl<I: ValueIndex> Index<I> for Value {
    type Output = Value;

    fn index(&self, index: I) -> &Value {
        static NULL: Value = Value::Null;
        self.get(index).unwrap_or(&NULL)
    }
}

/// An argument list of dynamic values. [`args!`](crate::args) builds one.
///
/// A [`Value`] is one argument. A `Values` is all arguments, both in an emit and in
/// [`Args::decode`](crate::Args::decode).
///
/// ```
/// use socketio_parser::{Nsp, args, encode_event};
///
/// let frames = encode_event(&Nsp::root(), None, "say", &args!["hello", { "times": 2 }])?;
/// let text = frames.iter().next().map(|frame| frame.payload());
/// assert_eq!(text.unwrap(), &br#"42["say","hello",{"times":2}]"#[..]);
/// # Ok::<(), socketio_parser::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub Vec<Value>);

impl From<Vec<Value>> for Values {
    fn from(values: Vec<Value>) -> Self {
        Self(values)
    }
}

impl Args {
    /// Decodes all arguments as dynamic values. U+FFFD replaces an unpaired surrogate, and a number
    /// beyond an `f64` is [`Value::Null`], as JavaScript writes infinity.
    ///
    /// # Errors
    ///
    /// Never returns an error for arguments that a [`Decoder`](crate::Decoder) returned, because
    /// they were validated.
    pub fn values(&self) -> Result<Vec<Value>, ArgsError> {
        Ok(self.decode::<Values>()?.0)
    }
}

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(RAW_ARGS, &List(self))
    }
}

/// Serializes [`Args`]: as their text if the serializer accepts it, else as an array of values.
struct List<'a>(&'a Args);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if binary::give_raw(self.0.attachments()) {
            return serializer.serialize_str(self.0.raw());
        }
        let values = self.0.values().map_err(S::Error::custom)?;
        let mut list = serializer.serialize_seq(Some(values.len()))?;
        for value in &values {
            list.serialize_element(value)?;
        }
        list.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => Binary::serialize_bytes(bytes, serializer),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_tuple(self.0.len())?;
        for value in &self.0 {
            list.serialize_element(value)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValuesVisitor;
        impl<'de> Visitor<'de> for ValuesVisitor {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an argument list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Values, A::Error> {
                collect(seq).map(Values)
            }
        }
        deserializer.deserialize_tuple_struct(ALL_ARGS, 0, ValuesVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Value, E> {
        Ok(Value::Binary(binary::received(bytes)))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Binary(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        collect(seq).map(Value::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some((key, value)) = map.next_entry()? else { return Ok(Object::new().into()) };
        let mut object = Object::with_capacity(FIRST_CAPACITY);
        object.insert(key, value);
        while let Some((key, value)) = map.next_entry()? {
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The capacity of a list or an object with its first item, which is that of a `Vec` that grows.
const FIRST_CAPACITY: usize = 4;

/// Collects the items of a list. No memory is reserved for the length that the input announces.
fn collect<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<Value>, A::Error> {
    let Some(first) = seq.next_element()? else { return Ok(Vec::new()) };
    let mut items = Vec::with_capacity(FIRST_CAPACITY);
    items.push(first);
    while let Some(item) = seq.next_element()? {
        items.push(item);
    }
    Ok(items)
}

macro_rules! from {
    ($($type:ty, $value:ident => $to:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $to
            }
        })*
    };
}

from! {
    (), _unit => Self::Null;
    bool, value => Self::Bool(value);
    i8, value => Self::Number(value.into());
    i16, value => Self::Number(value.into());
    i32, value => Self::Number(value.into());
    i64, value => Self::Number(value.into());
    isize, value => Self::Number(value.into());
    u8, value => Self::Number(value.into());
    u16, value => Self::Number(value.into());
    u32, value => Self::Number(value.into());
    u64, value => Self::Number(value.into());
    usize, value => Self::Number(value.into());
    // Infinity and NaN are null in JSON.
    f32, value => Number::from_f64(value.into()).map_or(Self::Null, Self::Number);
    f64, value => Number::from_f64(value).map_or(Self::Null, Self::Number);
    Number, value => Self::Number(value);
    &str, text => Self::String(text.into());
    String, text => Self::String(text);
    &String, text => Self::String(text.clone());
    Bytes, bytes => Self::Binary(bytes);
    Binary, binary => Self::Binary(binary.0);
    Object, object => Self::Object(object);
    serde_json::Value, value => match value {
        serde_json::Value::Null => Self::Null,
        serde_json::Value::Bool(value) => Self::Bool(value),
        serde_json::Value::Number(number) => Self::Number(number),
        serde_json::Value::String(text) => Self::String(text),
        serde_json::Value::Array(items) => items.into(),
        serde_json::Value::Object(object) => {
            Self::Object(object.into_iter().map(|(key, value)| (key, value.into())).collect())
        }
    };
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Clone + Into<Value>> From<&[T]> for Value {
    fn from(items: &[T]) -> Self {
        items.to_vec().into()
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::value;

    #[test]
    fn an_accessor_returns_values_of_its_own_type_only() {
        let value = value!({ "a": [true, -1, 1, 1.5, "x", null] });
        let items = value["a"].as_array().unwrap();
        let found = items.iter().map(|it| {
            let numbers = (it.as_i64(), it.as_u64(), it.as_f64());
            (it.as_bool(), numbers, it.as_str(), it.is_null())
        });
        let expected = [
            (Some(true), (None, None, None), None, false),
            (None, (Some(-1), None, Some(-1.0)), None, false),
            (None, (Some(1), Some(1), Some(1.0)), None, false),
            (None, (None, None, Some(1.5)), None, false),
            (None, (None, None, None), Some("x"), false),
            (None, (None, None, None), None, true),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert!(value.as_object().is_some() && value.as_array().is_none());
        assert!(value["b"][7]["c"].is_null(), "an absent part is null");
        assert_eq!(value["a"].get(6), None);
    }
}
