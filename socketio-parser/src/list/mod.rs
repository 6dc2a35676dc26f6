//! The rule of argument lists, in both directions: a tuple is the list, any other type is one
//! argument.

mod de;
mod json;
mod ser;

pub(crate) use de::ALL_ARGS;
pub(crate) use json::Json;
pub(crate) use ser::{RAW_ARGS, write_args};
