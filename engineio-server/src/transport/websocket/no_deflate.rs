//! Replaces compression if it is not compiled in. These types have no values.

use engineio_parser::{Frame, Revision, frame::WireFrame};

use super::read::ReadError;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Parameters {}

#[derive(Debug)]
pub(crate) struct Deflate(Parameters);

impl Deflate {
    pub(crate) fn new(never: Parameters) -> Self {
        Self(never)
    }

    pub(crate) fn compress(&mut self, _: &Frame, _: Revision, _: bool) -> Option<WireFrame> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Inflate(Parameters);

impl Inflate {
    pub(crate) fn new(never: Parameters, _: usize) -> Self {
        Self(never)
    }

    pub(crate) fn message(&mut self, _: &[u8]) -> Result<Vec<u8>, ReadError> {
        match self.0 {}
    }
}
