//! Encoding of a value as an argument list.

use serde::{Serialize, Serializer};
use serde_json::Error;

use crate::{binary, json::JsFormatter};

/// The name by which [`ListSerializer`] recognizes [`Args`](crate::Args).
pub(crate) const RAW_ARGS: &str = "$socketio_parser::Args";

/// Appends `args` to `json`. Returns `true` if they are a list in brackets, and `false` if they are
/// one argument or none.
pub(crate) fn write_args<T: Serialize + ?Sized>(
    json: &mut Vec<u8>,
    args: &T,
) -> Result<bool, Error> {
    let mut is_list = false;
    let mut json = Json::with_formatter(json, JsFormatter);
    let empty = size_of_val(args) == 0;
    args.serialize(ListSerializer { json: &mut json, is_list: &mut is_list, empty })?;
    Ok(is_list)
}

type Json<'w> = serde_json::Serializer<&'w mut Vec<u8>, JsFormatter>;

/// Wraps `serde_json`'s serializer, and records the layout of the outermost value.
struct ListSerializer<'a, 'w> {
    json: &'a mut Json<'w>,
    is_list: &'a mut bool,
    /// Whether the value's type has no size. `()` and a dynamic null such as
    /// `serde_json::Value::Null` call the same method of the serializer. The first has no size and
    /// is not an argument. The second has a size and is null.
    empty: bool,
}

macro_rules! one_argument {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(fn $method(self, $($name: $type),*) -> Result<(), Error> {
            self.json.$method($($name),*)
        })*
    };
}

type Inner<'a, 'w> = &'a mut Json<'w>;

impl<'a, 'w> Serializer for ListSerializer<'a, 'w> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = <Inner<'a, 'w> as Serializer>::SerializeSeq;
    type SerializeTuple = <Inner<'a, 'w> as Serializer>::SerializeTuple;
    type SerializeTupleStruct = <Inner<'a, 'w> as Serializer>::SerializeTupleStruct;
    type SerializeTupleVariant = <Inner<'a, 'w> as Serializer>::SerializeTupleVariant;
    type SerializeMap = <Inner<'a, 'w> as Serializer>::SerializeMap;
    type SerializeStruct = <Inner<'a, 'w> as Serializer>::SerializeStruct;
    type SerializeStructVariant = <Inner<'a, 'w> as Serializer>::SerializeStructVariant;

    one_argument! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.json.serialize_some(value)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        if self.empty { Ok(()) } else { self.json.serialize_unit() }
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        match name {
            RAW_ARGS => binary::ask_for_raw(),
            // serde_json recognizes its own types by such names.
            _ if name.starts_with("$serde_json") => {
                return self.json.serialize_newtype_struct(name, value);
            }
            _ => {}
        }
        let empty = size_of_val(value) == 0;
        value.serialize(Self { empty, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.json.serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        self.json.serialize_seq(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, Error> {
        *self.is_list = true;
        self.json.serialize_tuple(len)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        *self.is_list = true;
        self.json.serialize_tuple_struct(name, len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        self.json.serialize_tuple_variant(name, index, variant, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, Error> {
        self.json.serialize_map(len)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, Error> {
        self.json.serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        self.json.serialize_struct_variant(name, index, variant, len)
    }
}
