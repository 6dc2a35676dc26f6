//! Received arguments: validated but undecoded text, and the attachments it refers to.

use std::{fmt, str::FromStr as _, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Serialize, ser::Error as _};

use crate::{
    binary::{self, Attached, Attachments, Place},
    deserializer::JsonDeserializer,
    error::{DecodeError, EncodeError},
    event::is_reserved,
    json,
    limits::Limits,
    list::write_args,
    placeholders,
    scan::{EventName, Scanner},
    text,
};

/// The arguments of a received event or acknowledgement: a slice of the received JSON, plus
/// attachments. A clone costs two reference counts.
///
/// ```
/// use socketio_parser::{Content, Decoder, Limits};
///
/// let mut decoder = Decoder::new(&Limits::default());
/// let packet = decoder.decode_text(r#"2["say","hello",3]"#.into())?;
/// let Some(Content::Event { args, .. }) = packet.map(|packet| packet.content) else { panic!() };
/// assert_eq!(args.event(), "say");
/// let (text, times): (String, u32) = args.decode()?;
/// assert_eq!((text.as_str(), times), ("hello", 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// As the argument of an emit, a value of this type is the whole argument list. Its text is passed
/// on unchanged:
///
/// ```
/// # use socketio_parser::{Args, Nsp, encode_event};
/// # fn echo(args: &Args) -> Result<engineio_parser::Frames, socketio_parser::EncodeError> {
/// encode_event(&Nsp::root(), None, "message-back", args)
/// # }
/// ```
#[derive(Clone)]
pub struct Args {
    /// The text of the whole packet, up to the end of the list. Empty if there is no list.
    text: ByteString,
    /// The position of the list's `[`.
    list: usize,
    /// The range of the event's name in the text, without quotes. Empty if there is no event or
    /// `name` is set.
    event: Span,
    /// The position of the first argument, or of the list's `]`.
    first: usize,
    /// The event's name if it is not a slice of the text, because it contained escapes or was a
    /// number.
    name: Option<Box<str>>,
    attachments: Attachments,
}

/// The start and end of a part of the text.
type Span = (usize, usize);

impl Args {
    /// Returns the name of the event. It is empty for an acknowledgement, and for an event without
    /// a payload. A number is written as JavaScript writes it. U+FFFD replaces an unpaired
    /// surrogate.
    #[inline]
    pub fn event(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.text.get(self.event.0..self.event.1).unwrap_or_default(),
        }
    }

    /// Returns the same arguments under another name, which may be reserved: handlers of this side
    /// get them, and they are not sent.
    #[doc(hidden)]
    #[must_use]
    pub fn with_event(self, event: &str) -> Self {
        Self { name: Some(event.into()), ..self }
    }

    /// Returns the number of arguments. Each call scans the text.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns whether there are no arguments.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // The last byte is the list's `]`.
        self.first + 1 >= self.text.len()
    }

    /// Returns the JSON of the arguments, separated by commas and without brackets. Attachments are
    /// placeholders in it.
    #[inline]
    pub fn raw(&self) -> &str {
        let end = self.text.len().saturating_sub(1); // the list's `]`
        self.text.get(self.first..end).unwrap_or_default()
    }

    /// Returns the JSON of each argument.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let raw = self.raw();
        let mut scanner = Scanner::new(raw, 0, 128);
        std::iter::from_fn(move || {
            let start = scanner.next_pos();
            scanner.value()?;
            let item = raw.get(start..scanner.next_pos())?;
            scanner.comma();
            Some(item.trim_end())
        })
    }

    /// Returns the attachments, in the order of their arrival.
    pub fn attachments(&self) -> &[Bytes] {
        self.attachments.as_deref().map(|attached| &*attached.bytes).unwrap_or_default()
    }

    /// Returns the number of bytes of the text, the attachments and the list of placeholders.
    #[inline]
    pub fn bytes(&self) -> usize {
        let places = self.attachments.as_ref().map_or(0, |attached| attached.places.len());
        let attached = self.attachments().iter().map(Bytes::len).sum::<usize>();
        self.text.len() + attached + places * size_of::<Place>()
    }

    /// Returns the approximate heap memory of this value: [`bytes`](Self::bytes) plus the overhead
    /// of each allocation. Use it for queues that are limited by size.
    pub fn heap_bytes(&self) -> usize {
        // A text slice has its own reference count. An attachment has one too, and a slot in the
        // list.
        const TEXT: usize = 64;
        const ATTACHMENT: usize = 96;
        let name = self.name.as_ref().map_or(0, |name| name.len() + 16);
        self.bytes() + name + TEXT + ATTACHMENT * self.attachments().len()
    }

    /// Returns the list, including the event's name.
    #[inline]
    pub(crate) fn list_text(&self) -> &str {
        self.text.get(self.list..).unwrap_or_default()
    }

    /// Creates a deserializer at the first argument, or at the list's `]`. Returns `None` if the
    /// packet has no list.
    #[inline]
    pub(crate) fn deserializer(&self) -> Option<JsonDeserializer<'_>> {
        let first = self.first.checked_sub(self.list)?;
        let list = Some(self.list_text()).filter(|list| !list.is_empty())?;
        Some(JsonDeserializer::new(list, first, self.attachments.as_deref()))
    }

    pub(crate) fn attach(&mut self, bytes: Vec<Bytes>, places: Vec<Place>) {
        self.attachments = Some(Arc::new(Attached { bytes, places }));
    }

    pub(crate) fn shared_attachments(&self) -> &Attachments {
        &self.attachments
    }

    /// Creates a value without a list.
    pub(crate) fn none() -> Self {
        Self {
            text: ByteString::new(),
            list: 0,
            event: (0, 0),
            first: 0,
            name: None,
            attachments: None,
        }
    }

    /// Encodes a list of arguments without a packet around it, and reads it as a peer does. With
    /// `event`, the name of an event is its first item. For messages between servers.
    #[doc(hidden)]
    pub fn encode<T: Serialize + ?Sized>(
        event: Option<&str>,
        args: &T,
        max_depth: usize,
    ) -> Result<Self, EncodeError> {
        let mut list = vec![b'['];
        if let Some(event) = event {
            if is_reserved(event) {
                return Err(EncodeError::ReservedEvent(event.into()));
            }
            json::write_string(&mut list, event);
        }
        let attachments = binary::encoding(|| write_args(&mut list, event.is_some(), args))?;
        list.push(b']');
        let read = || {
            let text = ByteString::try_from(Bytes::from(list.into_boxed_slice()));
            let text = text.map_err(|_| DecodeError::InvalidPayload)?;
            let mut args = Self::parse(text, event.is_some(), max_depth)?;
            if !attachments.is_empty() {
                let places = placeholders::find(&args, attachments.len())?;
                args.attach(attachments, places);
            }
            Ok(args)
        };
        read().map_err(|error: DecodeError| serde_json::Error::custom(error).into())
    }

    /// Parses a list of arguments without attachments and without a packet around it. The first
    /// item of an event's list is its name. For messages between servers, which limit the size
    /// of the whole message.
    #[doc(hidden)]
    pub fn parse(list: ByteString, event: bool, max_depth: usize) -> Result<Self, DecodeError> {
        let limits = Limits::default().max_event_name(usize::MAX).max_depth(max_depth);
        Self::read(list, 0, event, &limits)
    }

    /// Reads the list that begins at `list` and takes up the rest of `text`.
    pub(crate) fn read(
        mut text: ByteString,
        list: usize,
        event: bool,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let mut scanner = Scanner::new(&text, list, limits.max_depth);
        let scanned = scanner.list(event);
        let (name, first, end) = scanned.ok_or_else(|| scanner.error())?;
        let (event, name) = match name {
            Some(name) => event_name(&text, name, limits)?,
            None => ((0, 0), None),
        };
        if let Some(trimmed) = text.get(..end).filter(|_| end < text.len()) {
            text = text.slice_ref(trimmed);
        }
        Ok(Self { text, list, event, first, name, attachments: None })
    }
}

/// Checks the name of an event. Returns its position, or the name itself if its text differs.
#[inline]
fn event_name(
    text: &str,
    name: EventName,
    limits: &Limits,
) -> Result<(Span, Option<Box<str>>), DecodeError> {
    let slice = |start, end| text.get(start..end).unwrap_or_default();
    let (position, name) = match name {
        EventName::Plain(start, end) => ((start, end), None),
        EventName::Escaped(start, end) => ((0, 0), Some(text::unquote(slice(start, end)).into())),
        EventName::Number(start, end) => {
            let number =
                f64::from_str(slice(start, end)).map_err(|_| DecodeError::InvalidPayload)?;
            ((0, 0), Some(json::js_number(number).into()))
        }
    };
    let checked = name.as_deref().unwrap_or_else(|| slice(position.0, position.1));
    if checked.len() > limits.max_event_name {
        return Err(DecodeError::EventNameTooLong { limit: limits.max_event_name });
    }
    if is_reserved(checked) {
        return Err(DecodeError::InvalidPayload);
    }
    Ok((position, name))
}

impl PartialEq for Args {
    fn eq(&self, other: &Self) -> bool {
        self.event() == other.event()
            && self.raw() == other.raw()
            && self.attachments() == other.attachments()
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args")
            .field("event", &self.event())
            .field("raw", &self.raw())
            .field("attachments", &self.attachments().len())
            .finish()
    }
}
