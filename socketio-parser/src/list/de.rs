//! Reading an argument list as a value.

use std::{fmt, iter};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, SeqAccess, Visitor,
        value::SeqDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::Error;

use crate::{args::Args, binary, error::ArgsError};

/// The name of the tuple struct that takes every argument, however many there are.
pub(crate) const ALL_ARGS: &str = "$socketio_parser::Values";

impl Args {
    /// The arguments, as a type of one's own.
    ///
    /// A tuple, a tuple struct and `[T; N]` are the argument list. Arguments beyond it are ignored; those missing at its
    /// end are `None` where an `Option` is asked for. A newtype is what it wraps. Anything else is one argument, the
    /// first; `()` asks for none. [`Values`](crate::Values) takes all arguments, whatever they are.
    ///
    /// # Errors
    /// If an argument is missing or of another type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        binary::decoding(self.shared_attachments(), || Ok(T::deserialize(ArgsDeserializer(self))?))
    }
}

/// `serde_json`'s deserializer of the first argument, but for tuples, which get the list.
pub(crate) struct ArgsDeserializer<'de>(pub(crate) &'de Args);

macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            match self.0.raw() {
                "" => Missing { index: 0 }.$method($($name,)* visitor),
                // What follows the first argument is not looked at.
                text => serde_json::Deserializer::from_str(text).$method($($name,)* visitor),
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
        match self.0.raw() {
            // serde_json knows its own types by such names.
            text if name.starts_with("$serde_json") && !text.is_empty() => {
                serde_json::Deserializer::from_str(text).deserialize_newtype_struct(name, visitor)
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let list = ListVisitor { visitor, event: self.0.has_event(), len };
        match self.0.list_text() {
            "" => {
                let no_items = iter::empty::<()>();
                ListVisitor { event: false, ..list }.visit_seq(SeqDeserializer::new(no_items))
            }
            text => serde_json::Deserializer::from_str(text).deserialize_seq(list),
        }
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

/// Steps over the event's name, gives the arguments to the tuple, and over those it does not want.
struct ListVisitor<V> {
    visitor: V,
    event: bool,
    len: usize,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ListVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<V::Value, A::Error> {
        if self.event {
            seq.next_element::<IgnoredAny>()?;
        }
        let value = self.visitor.visit_seq(Items { seq: &mut seq, index: 0, len: self.len })?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

/// The arguments, followed by missing ones up to the length of the tuple.
struct Items<'a, A> {
    seq: &'a mut A,
    index: usize,
    len: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        let mut seed = Some(seed);
        if let Some(value) = self.seq.next_element_seed(Lent(&mut seed))? {
            self.index += 1;
            return Ok(Some(value));
        }
        match seed {
            Some(seed) if self.index < self.len => {
                let missing = seed.deserialize(Missing { index: self.index });
                self.index += 1;
                Ok(Some(missing.map_err(A::Error::custom)?))
            }
            _ => Ok(None),
        }
    }
}

/// A seed that is still there if there was no element for it.
struct Lent<'a, T>(&'a mut Option<T>);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Lent<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        match self.0.take() {
            Some(seed) => seed.deserialize(deserializer),
            None => Err(D::Error::custom("asked twice for one argument")),
        }
    }
}

/// An argument the peer did not send: JavaScript's `undefined`.
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
