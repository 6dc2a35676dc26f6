//! Events that are sent until they are acknowledged: one at a time, in order, with a limited number
//! of attempts. Does no I/O.

use std::{collections::VecDeque, time::Duration};

use engineio_parser::Frames;
use socketio_parser::AckId;

/// An event that waits for its ack, or for the events before it.
#[derive(Debug)]
pub(crate) struct Retried<W> {
    pub(crate) frames: Frames,
    pub(crate) id: AckId,
    pub(crate) timeout: Duration,
    pub(crate) waiter: Option<W>,
    pub(crate) sent: u32,
}

#[derive(Debug)]
pub(crate) struct Retries<W> {
    queue: VecDeque<Retried<W>>,
    bytes: usize,
    in_flight: bool,
    max_packets: usize,
    max_bytes: usize,
    /// Bytes of the largest event refused since the queue last had room.
    refused: usize,
}

impl<W> Retries<W> {
    pub(crate) fn new(max_packets: usize, max_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            in_flight: false,
            max_packets,
            max_bytes,
            refused: 0,
        }
    }

    /// Queues an event. Returns it if there is no room.
    pub(crate) fn push(&mut self, event: Retried<W>) -> Result<(), Retried<W>> {
        let bytes = event.frames.bytes();
        if !self.has_room(bytes) {
            self.refused = self.refused.max(bytes);
            return Err(event);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.queue.push_back(event);
        Ok(())
    }

    /// Returns whether there is room for the largest refused event.
    pub(crate) fn is_ready(&mut self) -> bool {
        let ready = self.has_room(self.refused);
        if ready {
            self.refused = 0;
        }
        ready
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < self.max_packets
                && self.bytes.saturating_add(bytes) <= self.max_bytes)
    }

    /// Returns the event to send now, unless an event is in flight.
    pub(crate) fn next(&mut self) -> Option<&Retried<W>> {
        let event = self.queue.front_mut().filter(|_| !self.in_flight)?;
        self.in_flight = true;
        event.sent = event.sent.saturating_add(1);
        Some(event)
    }

    /// Removes the event in flight, because it was acknowledged.
    pub(crate) fn acknowledged(&mut self) -> Option<Retried<W>> {
        if !std::mem::take(&mut self.in_flight) {
            return None;
        }
        self.pop()
    }

    /// Ends the attempt of the event in flight without an ack. Removes and returns the event after
    /// `retries + 1` attempts.
    pub(crate) fn failed(&mut self, retries: u32) -> Option<Retried<W>> {
        self.in_flight = false;
        if self.queue.front()?.sent > retries { self.pop() } else { None }
    }

    /// Removes and returns the first event.
    pub(crate) fn pop(&mut self) -> Option<Retried<W>> {
        let event = self.queue.pop_front()?;
        self.bytes -= event.frames.bytes();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use engineio_parser::{Frame, PacketType};

    use super::*;

    fn event(id: u64) -> Retried<u64> {
        let frames = Frame::text(PacketType::Message, "12345").into();
        Retried { frames, id: id.into(), timeout: Duration::ZERO, waiter: Some(id), sent: 0 }
    }

    #[test]
    fn one_event_is_in_flight_and_has_one_attempt_more_than_retries() {
        let mut retries = Retries::new(10, 1000);
        retries.push(event(1)).unwrap();
        retries.push(event(2)).unwrap();
        for _ in 0..2 {
            assert_eq!(retries.next().map(|it| it.id), Some(1.into()));
            assert!(retries.next().is_none());
            assert!(retries.failed(2).is_none());
        }
        assert_eq!(retries.next().map(|it| it.id), Some(1.into()));
        assert_eq!(retries.failed(2).and_then(|it| it.waiter), Some(1));
        assert_eq!(retries.next().map(|it| it.id), Some(2.into()));
        assert_eq!(retries.acknowledged().and_then(|it| it.waiter), Some(2));
        assert!(retries.next().is_none() && retries.acknowledged().is_none());
        assert_eq!(retries.bytes, 0);
    }

    #[test]
    fn packets_and_bytes_are_limited() {
        let mut retries = Retries::new(2, 1000);
        retries.push(event(1)).unwrap();
        retries.push(event(2)).unwrap();
        retries.push(event(3)).unwrap_err();
        let mut retries = Retries::new(10, 5);
        retries.push(event(1)).unwrap();
        retries.push(event(2)).unwrap_err();
    }
}
