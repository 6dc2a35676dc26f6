//! A serializer of JSON.
//!
//! It writes what `serde_json` writes, with three differences: numbers have JavaScript's format,
//! bytes become attachments, and the text of a string is searched for characters that need an
//! escape in blocks and not byte by byte, which makes most of the time of a small message.

use std::io::Write as _;

use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct,
        SerializeStructVariant, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_json::Error;

use crate::{
    binary::{self, NUM, PLACEHOLDER},
    json,
};

/// The beginning of the names by which `serde_json` recognizes its own types.
pub(super) const SERDE_JSON: &str = "$serde_json";

/// Appends the JSON of a value to a buffer.
pub(crate) struct Json<'a>(pub(crate) &'a mut Vec<u8>);

/// A list or an object whose items are being written.
pub(crate) struct Items<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) next: Next,
    /// The closing brackets.
    pub(super) end: &'static [u8],
}

/// The next item of a list or an object.
pub(super) enum Next {
    First,
    /// A comma precedes it.
    Further,
    /// The text of one of `serde_json`'s own types (`RawValue`, `Number`).
    Text,
}

impl<'a> Items<'a> {
    #[inline]
    fn new(out: &'a mut Vec<u8>, open: u8, end: &'static [u8]) -> Self {
        out.push(open);
        Self { out, next: Next::First, end }
    }

    #[inline]
    fn separate(&mut self) {
        match self.next {
            Next::First => self.next = Next::Further,
            Next::Further | Next::Text => self.out.push(b','),
        }
    }

    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(Json(self.out))
    }

    #[inline]
    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        if let Next::Text = self.next {
            return self.text(value);
        }
        let comma = !matches!(self.next, Next::First);
        self.next = Next::Further;
        json::write_key(self.out, comma, key);
        value.serialize(Json(self.out))
    }

    /// Writes the text of one of `serde_json`'s own types, which serializes as a string.
    #[cold]
    fn text<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        match serde_json::to_value(value)? {
            serde_json::Value::String(text) => self.out.extend_from_slice(text.as_bytes()),
            _ => return Err(Error::custom("expected RawValue")),
        }
        Ok(())
    }

    #[inline]
    fn close(self) {
        self.out.extend_from_slice(self.end);
    }
}

/// Writes `{`, the name of a variant and `:`.
fn open_variant<'a>(out: &'a mut Vec<u8>, variant: &str) -> &'a mut Vec<u8> {
    out.push(b'{');
    json::write_string(out, variant);
    out.push(b':');
    out
}

macro_rules! unsigned {
    ($($method:ident: $type:ty)*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), Error> {
            json::write_u64(self.0, value.into());
            Ok(())
        })*
    };
}

macro_rules! signed {
    ($($method:ident: $type:ty)*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), Error> {
            if value < 0 {
                self.0.push(b'-');
            }
            json::write_u64(self.0, value.unsigned_abs().into());
            Ok(())
        })*
    };
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    unsigned! { serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 serialize_u64: u64 }
    signed! { serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64 }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        write!(self.0, "{value}").map_err(Error::io)
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        write!(self.0, "{value}").map_err(Error::io)
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        json::write_f32(self.0, value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        json::write_f64(self.0, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        json::write_string(self.0, value);
        Ok(())
    }

    /// Types that serialize as bytes (`Bytes`, those of `serde_bytes`) become attachments.
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        let num = binary::attach_copy(value).ok_or_else(|| Error::custom(binary::OUTSIDE))?;
        write!(self.0, "{{\"{PLACEHOLDER}\":true,\"{NUM}\":{num}}}").map_err(Error::io)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let out = open_variant(self.0, variant);
        value.serialize(Json(out))?;
        out.push(b'}');
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(Items::new(self.0, b'[', b"]"))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Error> {
        Ok(Items::new(self.0, b'[', b"]"))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        Ok(Items::new(self.0, b'[', b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(Items::new(open_variant(self.0, variant), b'[', b"]}"))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(Items::new(self.0, b'{', b"}"))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Items<'a>, Error> {
        if name.starts_with(SERDE_JSON) {
            return Ok(Items { out: self.0, next: Next::Text, end: b"" });
        }
        Ok(Items::new(self.0, b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(Items::new(open_variant(self.0, variant), b'{', b"}}"))
    }
}

macro_rules! lists {
    ($($trait:ident::$method:ident;)*) => {
        $(impl $trait for Items<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

lists! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! structs {
    ($($trait:ident)*) => {
        $(impl $trait for Items<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.member(key, value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        })*
    };
}

structs! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Items<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        key.serialize(Key(self.out))?;
        self.out.push(b':');
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Json(self.out))
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// Appends the key of an object: a string, or a number or boolean in quotes.
struct Key<'a>(&'a mut Vec<u8>);

impl Key<'_> {
    fn quoted<T: Serialize>(self, value: T) -> Result<(), Error> {
        self.0.push(b'"');
        value.serialize(Json(self.0))?;
        self.0.push(b'"');
        Ok(())
    }
}

fn not_a_key<T>() -> Result<T, Error> {
    Err(Error::custom("key must be a string"))
}

macro_rules! quoted {
    ($($method:ident: $type:ty)*) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.quoted(value)
        })*
    };
}

macro_rules! not_keys {
    ($($method:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<$result, Error> {
            not_a_key()
        })*
    };
}

type NoItems = Impossible<(), Error>;

impl Serializer for Key<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = NoItems;
    type SerializeTuple = NoItems;
    type SerializeTupleStruct = NoItems;
    type SerializeTupleVariant = NoItems;
    type SerializeMap = NoItems;
    type SerializeStruct = NoItems;
    type SerializeStructVariant = NoItems;

    quoted! {
        serialize_bool: bool
        serialize_i8: i8
        serialize_i16: i16
        serialize_i32: i32
        serialize_i64: i64
        serialize_i128: i128
        serialize_u8: u8
        serialize_u16: u16
        serialize_u32: u32
        serialize_u64: u64
        serialize_u128: u128
    }

    not_keys! {
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> NoItems;
        serialize_tuple(usize) -> NoItems;
        serialize_tuple_struct(&'static str, usize) -> NoItems;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> NoItems;
        serialize_map(Option<usize>) -> NoItems;
        serialize_struct(&'static str, usize) -> NoItems;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> NoItems;
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        if value.is_finite() { self.quoted(value) } else { Err(Error::custom(NOT_FINITE)) }
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if value.is_finite() { self.quoted(value) } else { Err(Error::custom(NOT_FINITE)) }
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        json::write_string(self.0, value);
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        not_a_key()
    }
}

/// The error of a key that is infinite or not a number.
const NOT_FINITE: &str = "float key must be finite (got NaN or +/-inf)";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{json, value::RawValue};

    use super::*;

    fn written<T: Serialize + ?Sized>(value: &T) -> Result<String, String> {
        let mut out = Vec::new();
        value.serialize(Json(&mut out)).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn check<T: Serialize + ?Sized>(value: &T) {
        let expected = serde_json::to_string(value).map_err(|error| error.to_string());
        assert_eq!(written(value), expected);
    }

    #[derive(Serialize)]
    enum Kind {
        Unit,
        Newtype(u8),
        Tuple(i8, char),
        Struct { a: Option<u8>, b: () },
        Empty {},
    }

    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    enum Name {
        #[serde(rename = "a\"b")]
        Unit,
        Newtype(u8),
    }

    #[derive(Serialize)]
    struct All {
        unit: (),
        some: Option<Box<Kind>>,
        none: Option<u8>,
        #[serde(rename = "quo\"te")]
        kinds: Vec<Kind>,
        list: [u8; 0],
        integers: (u8, u16, u32, u64, u128, i8, i16, i32, i64, i128),
        raw: Box<RawValue>,
    }

    #[test]
    fn every_kind_of_value_is_written_as_by_serde_json() {
        let kinds = || {
            let empty = Kind::Struct { a: None, b: () };
            vec![Kind::Unit, Kind::Newtype(1), Kind::Tuple(-1, '"'), empty, Kind::Empty {}]
        };
        check(&All {
            unit: (),
            some: Some(Box::new(Kind::Struct { a: Some(7), b: () })),
            none: None,
            kinds: kinds(),
            list: [],
            integers: (0, 9, 10, u64::MAX, u128::MAX, i8::MIN, -1, 99, i64::MIN, i128::MIN),
            raw: RawValue::from_string("{ \"a\": 1.0 }".to_owned()).unwrap(),
        });
        check(&json!({ "a": [null, true, false, "\u{1}\u{7f}\t\"\\é\u{2028}😀", {}, []] }));
        check(&[f64::NAN, f64::INFINITY]);
        check(&f32::NEG_INFINITY);
    }

    #[test]
    fn a_key_is_written_or_refused_as_by_serde_json() {
        check(&BTreeMap::from([(-1, ()), (7, ())]));
        check(&BTreeMap::from([(true, ())]));
        check(&BTreeMap::from([(u128::MAX, ())]));
        check(&BTreeMap::from([('"', ())]));
        check(&BTreeMap::from([(Name::Unit, ())]));
        check(&BTreeMap::from([(Some("some"), ())]));
        check(&BTreeMap::from([(Name::Newtype(1), ())]));
        check(&BTreeMap::from([(None::<u8>, ())]));
        check(&BTreeMap::from([((), ())]));
        check(&BTreeMap::from([([1], ())]));
        check(&BTreeMap::from([(BTreeMap::from([(1, 1)]), ())]));
    }

    proptest! {
        #[test]
        fn a_string_is_written_as_by_serde_json(text in any::<String>(), plain in "[a-z\"\\\\\u{0}-\u{1f}é]{0,80}") {
            check(&text);
            check(&plain);
        }

        #[test]
        fn an_integer_is_written_as_by_serde_json(number in any::<u64>(), shift in 0..64_u32) {
            check(&(number >> shift));
            check(&((number >> shift) as i64));
        }
    }
}
