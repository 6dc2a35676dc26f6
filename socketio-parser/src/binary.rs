//! Binary at any place in a serializable type, sent as attachments.
//!
//! Buffers travel beside serde, in the thread, because serde has no place for them: its data model
//! knows only `&[u8]`. A serializer of our own around `serde_json`'s could recognize [`Binary`] by
//! a marker, as [`Args`](crate::Args) is recognized, but it would be given a slice and would have
//! to copy it. (A `Bytes` cannot be made from a slice without a copy or unsafe code.) The same is
//! true in the other direction, and derived code puts its own serializers in between for flattened
//! fields and tagged enums, so no state can be passed along in ours. What remains in the thread is
//! small: while a packet is encoded, a list of attachments; while one is decoded, the received
//! ones. Both are nested (user code may encode a packet inside of `serialize`), and both end with a
//! guard, even if user code panics. Without binary, a packet costs two writes to a `Cell`.
//!
//! ```text
//!             encoding()                ask_for_raw(): Args are the whole list
//!  Outside ───────────────► Encoding ──────────────────────────────────────────► RawWanted
//!     ▲  binary is an error    │ ▲   attach(): bytes go to the list,              │   │
//!     │                        │ │   a placeholder to the JSON                    │   │
//!     │                        │ └────────────────────────────────────────────────┘   │
//!     │                        │     give_raw(): their attachments go to the list     │
//!     └────────────────────────┴──────────────────────────────────────────────────────┘
//!                 the guard restores the outer mode; outside() nests the other way
//!
//!  decoding(attachments) ──► the deserializer lends an attachment as `&[u8]`; received() finds the
//!                            `Bytes` that it is a part of, however late serde passes it on
//! ```

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::Visitor,
    ser::{Error as _, SerializeMap},
};

/// Bytes that are sent as an attachment. It can be a field at any depth of a type that is emitted
/// or received, including flattened fields and enums of every representation. Nothing is copied in
/// either direction.
///
/// While a packet is encoded, this serializes as a placeholder in the JSON, and the bytes go into a
/// separate table. At any other time, for example in `serde_json::to_value`, serializing it is an
/// error. [`Value`](crate::Value) is the dynamic type that may contain binary.
///
/// Other types that serialize as bytes become attachments too, with a copy: `Bytes`, or a field
/// with `#[serde(with = "serde_bytes")]`. A `Vec<u8>` or `[u8]` is a list of numbers, as everywhere
/// in serde, which cannot distinguish it from other lists. Decoding an attachment into a type that
/// accepts no bytes, such as `serde_json::Value`, is an error.
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
        // `deserialize_any`, because the formats that buffer (flattened, untagged) know no hint for
        // this.
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

/// The error for binary outside of a packet.
pub(crate) const OUTSIDE: &str = "binary can be serialized in a packet only";
/// The number of recent attachments with which a new one is compared.
const LOOK_BACK: usize = 16;
pub(crate) const PLACEHOLDER: &str = "_placeholder";
pub(crate) const NUM: &str = "num";

/// The attachments of a received packet, if it has any.
pub(crate) type Attachments = Option<Arc<Attached>>;

/// The attachments of a received packet, in the order of their arrival, and their placeholders.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) bytes: Vec<Bytes>,
    /// The placeholders in the order of the text. None is inside another one.
    pub(crate) places: Vec<Place>,
}

/// A placeholder in a list of arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// The position in the list at which it begins.
    pub(crate) at: usize,
    /// The index of its attachment, which exists.
    pub(crate) num: usize,
}

/// The meaning of [`Binary`] on this thread at the moment. It has no destructor, so a packet
/// without binary costs almost nothing.
#[derive(Clone, Copy)]
struct Scope {
    mode: Mode,
    /// The index in [`ATTACHED`] at which the packet's attachments begin.
    from: usize,
    /// The number of attachments in [`ATTACHED`].
    attached: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Outside,
    /// A packet is being encoded.
    Encoding,
    /// The value is the [`Args`](crate::Args) of a received packet, which are the whole list. The
    /// serializer writes the next string as it is, and they may pass their text to it.
    RawWanted,
}

thread_local! {
    static SCOPE: Cell<Scope> =
        const { Cell::new(Scope { mode: Mode::Outside, from: 0, attached: 0 }) };
    /// The attachments of the packet being encoded, after those of enclosing packets.
    static ATTACHED: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
    /// The attachments of the packet whose arguments are being decoded.
    static RECEIVED: RefCell<Attachments> = const { RefCell::new(None) };
    /// The index of the attachment that is likely to be requested next.
    static EXPECTED: Cell<usize> = const { Cell::new(0) };
}

/// Runs `serialize`. Returns the attachments of the packet.
#[inline]
pub(crate) fn encoding<E>(serialize: impl FnOnce() -> Result<(), E>) -> Result<Vec<Bytes>, E> {
    let _guard = Guard::enter(Mode::Encoding);
    serialize()?;
    let Scope { from, attached, .. } = SCOPE.get();
    if attached == from {
        return Ok(Vec::new());
    }
    Ok(ATTACHED.with_borrow_mut(|attached| attached.split_off(from)))
}

/// Runs `deserialize` with access to `attachments`.
pub(crate) fn decoding<R>(attachments: &Attachments, deserialize: impl FnOnce() -> R) -> R {
    if attachments.is_none() {
        return deserialize();
    }
    let _received = Received(RECEIVED.replace(attachments.clone()));
    deserialize()
}

/// Runs `serialize` in a context where binary is an error.
pub(crate) fn outside<R>(serialize: impl FnOnce() -> R) -> R {
    let _guard = Guard::enter(Mode::Outside);
    serialize()
}

/// Returns whether a packet is being encoded.
fn takes_attachments() -> bool {
    matches!(SCOPE.get().mode, Mode::Encoding | Mode::RawWanted)
}

/// Attaches a copy of `bytes` to the packet being encoded, if there is one. Returns the
/// attachment's index.
pub(crate) fn attach_copy(bytes: &[u8]) -> Option<usize> {
    if takes_attachments() { attach(&Bytes::copy_from_slice(bytes)) } else { None }
}

/// Attaches `bytes` to the packet being encoded, if there is one. Returns the attachment's index.
fn attach(bytes: &Bytes) -> Option<usize> {
    if !takes_attachments() {
        return None;
    }
    let scope = SCOPE.get();
    let num = ATTACHED.with_borrow_mut(|attached| {
        // A buffer is sent once even if the value holds it several times. Otherwise a packet that
        // refers to one attachment many times could be answered with many times its size. Only the
        // latest attachments are compared, so that many attachments stay cheap.
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

/// Announces that received arguments are the whole list, and that their serializer writes the next
/// string as it is. Returns `false` if it must not.
pub(crate) fn ask_for_raw() -> bool {
    let scope = SCOPE.get();
    // The indexes of attachments in the text must stay valid.
    let asks = scope.mode == Mode::Encoding && scope.attached == scope.from;
    if asks {
        SCOPE.set(Scope { mode: Mode::RawWanted, ..scope });
    }
    asks
}

/// Attaches the attachments of received arguments if they may pass on their text as a string.
/// Returns whether they may.
pub(crate) fn give_raw(attachments: &[Bytes]) -> bool {
    let scope = SCOPE.get();
    if scope.mode != Mode::RawWanted {
        return false;
    }
    if !attachments.is_empty() {
        ATTACHED.with_borrow_mut(|attached| attached.extend_from_slice(attachments));
    }
    let attached = scope.attached + attachments.len();
    SCOPE.set(Scope { mode: Mode::Encoding, attached, ..scope });
    true
}

/// Sets the attachment that is returned next.
pub(crate) fn expect(num: usize) {
    EXPECTED.set(num);
}

/// Returns the attachment that consists of these bytes, or a copy of them. serde passes slices
/// only, possibly late, because the formats that buffer (flattened, untagged) keep them for a
/// while.
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

/// Converts the `num` of a placeholder to an index, if it is one.
pub(crate) fn index(num: f64) -> Option<usize> {
    (num >= 0.0 && num.fract() == 0.0 && num < 1e9).then_some(num as usize)
}

/// Restores the outer scope, for nested use and after a panic in user code.
struct Guard(Scope);

impl Guard {
    #[inline]
    fn enter(mode: Mode) -> Self {
        let outer = SCOPE.get();
        SCOPE.set(Scope { mode, from: outer.attached, attached: outer.attached });
        Self(outer)
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if SCOPE.replace(self.0).attached > self.0.attached {
            // The list is empty already, except after an error or a panic.
            ATTACHED.with_borrow_mut(|attached| attached.truncate(self.0.attached));
        }
    }
}

/// Restores the outer attachments.
struct Received(Attachments);

impl Drop for Received {
    fn drop(&mut self) {
        RECEIVED.set(self.0.take());
    }
}
