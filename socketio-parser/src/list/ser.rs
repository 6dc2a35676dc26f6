//! Encoding of a value as an argument list.

use serde::{Serialize, Serializer};
use serde_json::Error;

use super::json::{Items, Json, Next, SERDE_JSON};
use crate::binary;

/// The name by which [`ListSerializer`] recognizes [`Args`](crate::Args).
pub(crate) const RAW_ARGS: &str = "$socketio_parser::Args";

/// Appends `args`, separated by commas and without brackets, to an open list. With `follow` a comma
/// precedes the first of them.
pub(crate) fn write_args<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    follow: bool,
    args: &T,
) -> Result<(), Error> {
    args.serialize(ListSerializer { out, follow, empty: size_of_val(args) == 0, raw: false })
}

/// Writes the items of the outermost value if it is a list, else the value itself.
struct ListSerializer<'a> {
    out: &'a mut Vec<u8>,
    /// Whether the list has an item already.
    follow: bool,
    /// Whether the value's type has no size. `()` and a dynamic null such as
    /// `serde_json::Value::Null` call the same method of the serializer. The first has no size and
    /// is not an argument. The second has a size and is null.
    empty: bool,
    /// Whether a string is the text of all arguments ([`binary::ask_for_raw`]).
    raw: bool,
}

impl<'a> ListSerializer<'a> {
    /// Returns the serializer of a value that is one argument.
    #[inline]
    fn one(self) -> Json<'a> {
        if self.follow {
            self.out.push(b',');
        }
        Json(self.out)
    }

    /// Returns the serializer of a list.
    #[inline]
    fn all(self) -> Items<'a> {
        let next = if self.follow { Next::Further } else { Next::First };
        Items { out: self.out, next, end: b"" }
    }
}

macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*) -> $result:ty;)*) => {
        $(#[inline]
        fn $method(self, $($name: $type),*) -> Result<$result, Error> {
            self.one().$method($($name),*)
        })*
    };
}

impl<'a> Serializer for ListSerializer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    one_argument! {
        serialize_bool(value: bool) -> ();
        serialize_i8(value: i8) -> ();
        serialize_i16(value: i16) -> ();
        serialize_i32(value: i32) -> ();
        serialize_i64(value: i64) -> ();
        serialize_i128(value: i128) -> ();
        serialize_u8(value: u8) -> ();
        serialize_u16(value: u16) -> ();
        serialize_u32(value: u32) -> ();
        serialize_u64(value: u64) -> ();
        serialize_u128(value: u128) -> ();
        serialize_f32(value: f32) -> ();
        serialize_f64(value: f64) -> ();
        serialize_char(value: char) -> ();
        serialize_bytes(value: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Items<'a>;
        serialize_map(len: Option<usize>) -> Items<'a>;
        serialize_struct(name: &'static str, len: usize) -> Items<'a>;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> Items<'a>;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> Items<'a>;
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        if !self.raw {
            return self.one().serialize_str(value);
        }
        if self.follow && !value.is_empty() {
            self.out.push(b',');
        }
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self.one())
    }

    fn serialize_unit(self) -> Result<(), Error> {
        if self.empty { Ok(()) } else { self.one().serialize_unit() }
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if name.starts_with(SERDE_JSON) {
            return self.one().serialize_newtype_struct(name, value);
        }
        let raw = name == RAW_ARGS && binary::ask_for_raw();
        value.serialize(Self { empty: size_of_val(value) == 0, raw, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.one().serialize_newtype_variant(name, index, variant, value)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.all())
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.all())
    }
}
