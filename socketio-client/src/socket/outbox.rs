//! The packets that a socket has to send, until the connection takes them. Limited in packets and
//! in bytes.

use std::{collections::VecDeque, time::Instant};

use engineio_parser::Frames;
use socketio_parser::AckId;

/// The capacity that an emptied outbox retains, in packets.
const RETAINED_CAPACITY: usize = 32;

/// A packet that waits to be sent. `W` is the type that waits for its ack.
#[derive(Debug)]
pub(crate) struct Outgoing<W> {
    pub(crate) frames: Frames,
    pub(crate) ack: Option<Awaited<W>>,
    /// Whether to drop the packet if the transport is not writable.
    pub(crate) volatile: bool,
    /// The join of the namespace that this packet belongs to, for acks. They are useless after
    /// another join.
    pub(crate) epoch: Option<u64>,
}

/// An ack that the packet requests.
#[derive(Debug)]
pub(crate) struct Awaited<W> {
    pub(crate) id: AckId,
    pub(crate) deadline: Instant,
    pub(crate) waiter: W,
}

#[derive(Debug)]
pub(crate) struct Outbox<W> {
    packets: VecDeque<Outgoing<W>>,
    bytes: usize,
    max_packets: usize,
    max_bytes: usize,
    /// Bytes of the largest packet refused since the outbox last had room.
    refused: usize,
    awaited: bool,
    /// How many packets still belong to a connection that the user ends. The others wait for the
    /// next connection.
    last: Option<usize>,
}

impl<W> Outbox<W> {
    pub(crate) fn new(max_packets: usize, max_bytes: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            max_packets,
            max_bytes,
            refused: 0,
            awaited: false,
            last: None,
        }
    }

    /// Marks the connection as ending. [`pop`](Self::pop) then returns only the packets that are
    /// queued by now, until [`reopen`](Self::reopen) is called.
    pub(crate) fn end(&mut self) {
        self.last.get_or_insert(self.packets.len());
    }

    /// Returns whether all packets belong to the current connection.
    pub(crate) fn is_open(&self) -> bool {
        self.last.is_none()
    }

    /// Releases the remaining packets for the next connection.
    pub(crate) fn reopen(&mut self) {
        self.last = None;
    }

    /// Returns whether there is room for the largest refused packet.
    pub(crate) fn is_ready(&mut self) -> bool {
        let ready = self.has_room(self.refused);
        if ready {
            self.refused = 0;
        }
        self.awaited |= !ready;
        ready
    }

    /// Returns whether a caller found the outbox not ready since the last call.
    pub(crate) fn take_awaited(&mut self) -> bool {
        std::mem::take(&mut self.awaited)
    }

    /// Returns whether there is room for `bytes` more. An empty outbox accepts a packet of any
    /// size.
    fn has_room(&self, bytes: usize) -> bool {
        self.packets.is_empty()
            || (self.packets.len() < self.max_packets
                && self.bytes.saturating_add(bytes) <= self.max_bytes)
    }

    /// Queues a packet. Returns it if there is no room.
    pub(crate) fn push(&mut self, packet: Outgoing<W>) -> Result<(), Outgoing<W>> {
        let bytes = packet.frames.bytes();
        if !self.has_room(bytes) {
            self.refused = self.refused.max(bytes);
            return Err(packet);
        }
        self.bytes += bytes;
        self.packets.push_back(packet);
        Ok(())
    }

    /// Queues a packet without a limit, because another queue has counted it.
    pub(crate) fn push_unbounded(&mut self, packet: Outgoing<W>) {
        self.bytes += packet.frames.bytes();
        self.packets.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing<W>> {
        let last = self.last.map(|last| last.checked_sub(1));
        if last == Some(None) {
            return None;
        }
        let packet = self.packets.pop_front()?;
        self.last = last.flatten();
        self.bytes -= packet.frames.bytes();
        if self.packets.is_empty() && self.packets.capacity() > RETAINED_CAPACITY {
            self.packets = VecDeque::new();
        }
        Some(packet)
    }

    /// Puts back the packet that was popped last.
    pub(crate) fn put_back(&mut self, packet: Outgoing<W>) {
        self.bytes += packet.frames.bytes();
        self.packets.push_front(packet);
        self.last = self.last.map(|last| last + 1);
    }

    /// Removes and returns the volatile packets.
    pub(crate) fn take_volatile(&mut self) -> Vec<Outgoing<W>> {
        let ending = self.packets.iter().take(self.last.unwrap_or(0));
        let gone = ending.filter(|packet| packet.volatile).count();
        self.last = self.last.map(|last| last - gone);
        let (volatile, kept) =
            std::mem::take(&mut self.packets).into_iter().partition(|packet| packet.volatile);
        self.packets = kept;
        for packet in &volatile {
            let packet: &Outgoing<W> = packet;
            self.bytes -= packet.frames.bytes();
        }
        Vec::from(volatile)
    }

    /// Removes the packet whose caller no longer waits for the ack.
    pub(crate) fn remove(&mut self, id: AckId) -> Option<Outgoing<W>> {
        let asks = |packet: &Outgoing<W>| packet.ack.as_ref().is_some_and(|ack| ack.id == id);
        let at = self.packets.iter().position(asks)?;
        let packet = self.packets.remove(at)?;
        self.last = self.last.map(|last| if at < last { last - 1 } else { last });
        self.bytes -= packet.frames.bytes();
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use engineio_parser::{Frame, PacketType};

    use super::*;

    fn packet(text: &str, id: Option<u64>) -> Outgoing<()> {
        let ack = |id| Awaited { id: AckId::from(id), deadline: Instant::now(), waiter: () };
        let frames = Frame::text(PacketType::Message, text).into();
        Outgoing { frames, ack: id.map(ack), volatile: false, epoch: None }
    }

    fn texts(outbox: &mut Outbox<()>) -> Vec<Vec<u8>> {
        let payload =
            |it: Outgoing<()>| it.frames.iter().flat_map(|frame| frame.payload()).collect();
        std::iter::from_fn(|| outbox.pop()).map(payload).collect()
    }

    #[test]
    fn packets_keep_their_order_and_one_can_be_removed() {
        let mut outbox = Outbox::new(10, 1000);
        for (text, id) in [("a", None), ("b", Some(1)), ("c", Some(2))] {
            outbox.push(packet(text, id)).unwrap();
        }
        assert!(outbox.remove(AckId::from(1)).is_some() && outbox.remove(AckId::from(1)).is_none());
        let first = outbox.pop().unwrap();
        outbox.put_back(first);
        assert_eq!(texts(&mut outbox), [b"4a", b"4c"]);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn packets_queued_after_the_end_wait_for_the_next_connection() {
        let mut outbox = Outbox::new(10, 1000);
        for (text, id) in [("a", Some(1)), ("b", None), ("c", Some(2))] {
            outbox.push(packet(text, id)).unwrap();
        }
        outbox.end();
        outbox.push(packet("d", Some(3))).unwrap();
        outbox.end();
        // A removed packet leaves no gap.
        outbox.remove(AckId::from(1)).unwrap();
        outbox.remove(AckId::from(3)).unwrap();
        outbox.push(packet("e", None)).unwrap();
        let first = outbox.pop().unwrap();
        outbox.put_back(first);
        assert_eq!(texts(&mut outbox), [b"4b", b"4c"]);
        outbox.reopen();
        assert_eq!(texts(&mut outbox), [b"4e"]);
    }

    #[test]
    fn packets_of_the_next_connection_wait_although_volatile_ones_were_dropped() {
        let mut outbox = Outbox::new(10, 1000);
        for (text, volatile) in [("a", true), ("b", false)] {
            outbox.push(Outgoing { volatile, ..packet(text, None) }).unwrap();
        }
        outbox.end();
        outbox.push(packet("c", None)).unwrap();
        outbox.push(Outgoing { volatile: true, ..packet("d", None) }).unwrap();
        assert_eq!(outbox.take_volatile().len(), 2);
        assert_eq!(texts(&mut outbox), [b"4b"]);
        outbox.reopen();
        assert_eq!(texts(&mut outbox), [b"4c"]);
    }

    #[test]
    fn packets_and_bytes_are_limited() {
        let mut outbox = Outbox::new(2, 1000);
        outbox.push(packet("a", None)).unwrap();
        outbox.push(packet("b", None)).unwrap();
        outbox.push(packet("c", None)).unwrap_err();
        let mut outbox = Outbox::new(10, 6);
        outbox.push(packet("12345678", None)).unwrap();
        outbox.push(packet("1", None)).unwrap_err();
        outbox.pop();
        outbox.push(packet("12345", None)).unwrap();
        outbox.push(packet("1", None)).unwrap_err();
    }

    #[test]
    fn the_outbox_is_ready_when_the_refused_packet_fits() {
        let mut outbox = Outbox::new(10, 6);
        outbox.push(packet("1", None)).unwrap();
        assert!(outbox.is_ready());
        outbox.push(packet("12345", None)).unwrap_err();
        assert!(!outbox.is_ready());
        outbox.pop();
        assert!(outbox.is_ready());
        outbox.push(packet("1", None)).unwrap();
        assert!(outbox.is_ready(), "the refused packet may have been given up");
    }
}
