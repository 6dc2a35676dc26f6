//! Binary anywhere in a serializable type, carried as attachments.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use bytestring::ByteString;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::Visitor,
    ser::{Error as _, SerializeMap},
};

/// Bytes that travel as an attachment: a field of any type that is emitted or received, at any depth, flattened and in
/// enums of every representation. Nothing is copied in either direction.
///
/// While a packet is encoded, this is a placeholder in the JSON and the bytes stand in a table
/// beside it. At any other time, with `serde_json::to_value` for instance, its serialization is an
/// error; [`Value`](crate::Value) is the dynamic type that may hold binary.
///
/// Other types that call themselves bytes are attachments as well, as a copy: `Bytes`, or a field
/// with `#[serde(with = "serde_bytes")]`. A `Vec<u8>` or `[u8]` is a list of numbers, as everywhere
/// in serde, which cannot tell it from other lists. A type that takes no bytes, such as
/// `serde_json::Value`, is an error where an attachment arrives.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socketio_parser::{Binary, Nsp, encode_event};
///
/// #[derive(Serialize, Deserialize)]
/// struct Upload { name: String, body: Binary }
///
/// let upload = Upload { name: "a.png".into(), body: Binary("…".into()) };
/// let frames = encode_event(&Nsp::root(), None, "upload", &upload)?;
/// assert_eq!(frames.count(), 2);
/// # Ok::<(), socketio_parser::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Bytes);

impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize_bytes(&self.0, serializer)
    }
}

impl Binary {
    pub(crate) fn serialize_bytes<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match attach(bytes) {
            Some(num) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry(PLACEHOLDER, &true)?;
                map.serialize_entry(NUM, &num)?;
                map.end()
            }
            None if serializer.is_human_readable() => Err(S::Error::custom(OUTSIDE)),
            None => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any: the formats that buffer (flattened, untagged) know no hint for this.
        deserializer.deserialize_any(BinaryVisitor)
    }
}

struct BinaryVisitor;

impl<'de> Visitor<'de> for BinaryVisitor {
    type Value = Binary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binary")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Binary, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Binary, E> {
        Ok(Binary(received(bytes)))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Binary, E> {
        Ok(Binary(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Binary, E> {
        Ok(Binary(bytes.into()))
    }
}

/// Why binary is refused.
pub(crate) const OUTSIDE: &str = "binary can be serialized in a packet only";
/// How many attachments are compared with one that is added.
const LOOK_BACK: usize = 16;
pub(crate) const PLACEHOLDER: &str = "_placeholder";
pub(crate) const NUM: &str = "num";

/// The attachments of a received packet, if it has any.
pub(crate) type Attachments = Option<Arc<Attached>>;

/// The attachments of a received packet, in the order they arrived in, and where they belong.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) bytes: Vec<Bytes>,
    /// In the order of the text. None is inside of another one.
    pub(crate) places: Vec<Place>,
}

/// A placeholder in a list of arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Where it begins, as a position in the list.
    pub(crate) at: usize,
    /// The number of its attachment, which exists.
    pub(crate) num: usize,
}

/// What [`Binary`] means on this thread now. Without a destructor, so that a packet without binary pays next to nothing.
#[derive(Clone, Copy)]
struct Scope {
    mode: Mode,
    /// Where in [`ATTACHED`] the attachments of the packet begin.
    from: usize,
    /// How many there are in [`ATTACHED`].
    attached: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Outside,
    /// A packet is encoded.
    Encoding,
    /// Received arguments may hand over their text as it is: they are the whole list.
    RawWanted,
    /// They did.
    RawGiven,
}

thread_local! {
    static SCOPE: Cell<Scope> =
        const { Cell::new(Scope { mode: Mode::Outside, from: 0, attached: 0 }) };
    /// The attachments of the packet that is encoded, behind those of the packets around it.
    static ATTACHED: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
    static RAW: RefCell<ByteString> = const { RefCell::new(ByteString::new()) };
    /// The attachments of the packet whose arguments are decoded.
    static RECEIVED: RefCell<Attachments> = const { RefCell::new(None) };
    /// Which of them is likely to be asked for next.
    static EXPECTED: Cell<usize> = const { Cell::new(0) };
}

/// What an encoded packet has besides the text that was written.
#[derive(Default)]
pub(crate) struct Encoded {
    pub(crate) attachments: Vec<Bytes>,
    /// Text that takes the place of what was written.
    pub(crate) raw: Option<ByteString>,
}

/// Runs `serialize`, and returns what it left besides text.
pub(crate) fn encoding<T, E>(serialize: impl FnOnce() -> Result<T, E>) -> Result<(T, Encoded), E> {
    let _guard = Guard::enter(Mode::Encoding);
    let result = serialize()?;
    let scope = SCOPE.get();
    let mut encoded = Encoded::default();
    if scope.attached > scope.from {
        encoded.attachments = ATTACHED.with_borrow_mut(|attached| attached.split_off(scope.from));
    }
    if scope.mode == Mode::RawGiven {
        encoded.raw = Some(RAW.take());
    }
    Ok((result, encoded))
}

/// Runs `deserialize` with `attachments` at hand.
pub(crate) fn decoding<R>(attachments: &Attachments, deserialize: impl FnOnce() -> R) -> R {
    if attachments.is_none() {
        return deserialize();
    }
    let _received = Received(RECEIVED.replace(attachments.clone()));
    deserialize()
}

/// Runs `serialize` where binary has no place.
pub(crate) fn outside<R>(serialize: impl FnOnce() -> R) -> R {
    let _guard = Guard::enter(Mode::Outside);
    serialize()
}

/// Whether a packet is being encoded.
fn takes_attachments() -> bool {
    matches!(SCOPE.get().mode, Mode::Encoding | Mode::RawWanted)
}

/// Attaches a copy of `bytes` to the packet that is being encoded, if one is. Returns its number.
pub(crate) fn attach_copy(bytes: &[u8]) -> Option<usize> {
    if takes_attachments() { attach(&Bytes::copy_from_slice(bytes)) } else { None }
}

/// Attaches `bytes` to the packet that is being encoded, if one is, and returns their number.
fn attach(bytes: &Bytes) -> Option<usize> {
    if !takes_attachments() {
        return None;
    }
    let scope = SCOPE.get();
    let num = ATTACHED.with_borrow_mut(|attached| {
        // One buffer is sent once, however often the value holds it: what a peer refers to again and again must not come
        // back many times its size. Only the latest are looked at, so that many attachments stay cheap.
        let same = |other: &Bytes| other.as_ptr() == bytes.as_ptr() && other.len() == bytes.len();
        let own = attached.get(scope.from..).unwrap_or_default();
        let known = own.iter().rev().take(LOOK_BACK).position(same);
        let num = known.map_or(own.len(), |back| own.len() - 1 - back);
        if known.is_none() {
            attached.push(bytes.clone());
        }
        num
    });
    SCOPE.set(Scope { attached: scope.attached.max(scope.from + num + 1), ..scope });
    Some(num)
}

/// Says that received arguments are the whole list: their text may stay as it is.
pub(crate) fn ask_for_raw() {
    let scope = SCOPE.get();
    // The numbers of attachments in the text must still be right.
    if scope.mode == Mode::Encoding && scope.attached == scope.from {
        SCOPE.set(Scope { mode: Mode::RawWanted, ..scope });
    }
}

/// Hands over text and attachments if they were asked for.
pub(crate) fn give_raw<'a>(raw: impl FnOnce() -> (ByteString, &'a [Bytes])) -> bool {
    let scope = SCOPE.get();
    if scope.mode != Mode::RawWanted {
        return false;
    }
    let (text, attachments) = raw();
    RAW.set(text);
    ATTACHED.with_borrow_mut(|attached| attached.extend_from_slice(attachments));
    let attached = scope.attached + attachments.len();
    SCOPE.set(Scope { mode: Mode::RawGiven, attached, ..scope });
    true
}

/// Says which attachment is handed out next.
pub(crate) fn expect(num: usize) {
    EXPECTED.set(num);
}

/// The attachment that these bytes are, or a copy of them. serde hands out slices only, perhaps
/// late: the formats that buffer (flattened, untagged) keep them for a while.
pub(crate) fn received(slice: &[u8]) -> Bytes {
    let same = |bytes: &Bytes| bytes.as_ptr() == slice.as_ptr() && bytes.len() == slice.len();
    let found = RECEIVED.with_borrow(|received| {
        let all = &received.as_ref()?.bytes;
        let expected = EXPECTED.get().min(all.len());
        let mut order = (expected..all.len()).chain(0..expected);
        let num = order.find(|num| all.get(*num).is_some_and(same))?;
        EXPECTED.set(num + 1);
        all.get(num).cloned()
    });
    found.unwrap_or_else(|| Bytes::copy_from_slice(slice))
}

/// A placeholder's `num` as an index, which it need not be.
pub(crate) fn index(num: f64) -> Option<usize> {
    (num >= 0.0 && num.fract() == 0.0 && num < 1e9).then_some(num as usize)
}

/// Puts the outer scope back, in nested use and after a panic in a user's code.
struct Guard(Scope);

impl Guard {
    fn enter(mode: Mode) -> Self {
        let outer = SCOPE.get();
        SCOPE.set(Scope { mode, from: outer.attached, attached: outer.attached });
        Self(outer)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if SCOPE.replace(self.0).attached > self.0.attached {
            // Empty already, but after an error or a panic.
            ATTACHED.with_borrow_mut(|attached| attached.truncate(self.0.attached));
        }
    }
}

/// Puts the outer attachments back.
struct Received(Attachments);

impl Drop for Received {
    fn drop(&mut self) {
        RECEIVED.set(self.0.take());
    }
}
