//! Decoding of an argument list.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, SeqAccess, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Error;

use crate::{
    args::Args,
    binary,
    deserializer::{JsonDeserializer, explained},
    error::ArgsError,
};

/// The name of the tuple struct that accepts any number of arguments.
pub(crate) const ALL_ARGS: &str = "$socketio_parser::Values";

impl Args {
    /// Decodes the arguments.
    ///
    /// A tuple, a tuple struct and `[T; N]` decode the argument list. Additional arguments are
    /// ignored. Arguments missing at the end are `None` if the type is an `Option`. A newtype
    /// decodes as the type it wraps. Any other type decodes the first argument, and `()` decodes
    /// none. [`Values`](crate::Values) accepts all arguments.
    ///
    /// Input that JavaScript accepts is accepted. U+FFFD replaces an unpaired surrogate, which a
    /// text can contain if it was cut inside an emoji. A number beyond an `f64` is infinity, or
    /// null for a dynamic value.
    ///
    /// An attachment decodes as bytes. [`Binary`](crate::Binary) and [`Value`](crate::Value) accept
    /// it without a copy, `Bytes` and the types of `serde_bytes` with a copy. A `Vec<u8>` is a list
    /// of numbers.
    ///
    /// # Errors
    ///
    /// Returns an error if an argument is missing or of another type, or if an attachment is for a
    /// type that accepts no bytes, such as `serde_json::Value`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        let attachments = self.shared_attachments();
        let decoded = binary::decoding(attachments, || T::deserialize(ArgsDeserializer(self)));
        Ok(match attachments {
            Some(_) => decoded.map_err(explained)?,
            None => decoded?,
        })
    }
}

/// Deserializes the first argument, or the whole list for a tuple.
struct ArgsDeserializer<'de>(&'de Args);

impl<'de> ArgsDeserializer<'de> {
    #[inline]
    fn first(&self) -> Option<JsonDeserializer<'de>> {
        if self.0.is_empty() { None } else { self.0.deserializer() }
    }
}

macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            match self.first() {
                // Further arguments are ignored.
                Some(mut first) => first.$method($($name,)* visitor),
                None => Missing { index: 0 }.$method($($name,)* visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for ArgsDeserializer<'de> {
    type Error = Error;

    one_argument! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_seq();
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.first() {
            // serde_json recognizes its own types by such names.
            Some(mut first) if name.starts_with("$serde_json") => {
                first.deserialize_newtype_struct(name, visitor)
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { list: self.0.deserializer(), index: 0, len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(if name == ALL_ARGS { 0 } else { len }, visitor)
    }
}

/// The arguments, followed by missing ones up to the length of the tuple.
struct Items<'de> {
    list: Option<JsonDeserializer<'de>>,
    index: usize,
    len: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let index = self.index;
        self.index += 1;
        if let Some(list) = &mut self.list {
            if list.more(b']')? {
                return seed.deserialize(list).map(Some);
            }
            self.list = None;
        }
        if index < self.len { seed.deserialize(Missing { index }).map(Some) } else { Ok(None) }
    }
}

/// An argument that the peer did not send: JavaScript's `undefined`.
struct Missing {
    index: usize,
}

impl<'de> Deserializer<'de> for Missing {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        struct Expected<V>(V);
        impl<'de, V: Visitor<'de>> fmt::Display for Expected<V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.expecting(f)
            }
        }
        let number = self.index + 1;
        Err(Error::custom(format_args!(
            "argument {number} is missing, expected {}",
            Expected(visitor)
        )))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
