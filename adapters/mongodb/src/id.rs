//! Ids of documents, which are also the offsets of events.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use mongodb::bson::oid::ObjectId;
use socketio_adapter::Offset;

/// Returns an id: seconds and 2^24ths of a second, as four and three bytes, and five random bytes of
/// the process.
///
/// Node's servers look for missed events in the order of the ids. Within a second, ids of several
/// processes that the driver makes are in the order of random bytes. These are in the order of
/// time, as far as the clocks of the machines agree.
pub(crate) fn new_id() -> ObjectId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = (now.as_secs() << 24) | ((u64::from(now.subsec_nanos()) << 24) / 1_000_000_000);
    let after = |last: u64| now.max(last.wrapping_add(1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
    let [_, time @ ..] = last.map_or(now, after).to_be_bytes();
    let mut id = [0; 12];
    for (byte, value) in id.iter_mut().zip(time.into_iter().chain(process())) {
        *byte = value;
    }
    ObjectId::from_bytes(id)
}

/// Returns the random bytes of this process, which the driver's ids contain.
fn process() -> [u8; 5] {
    let [_, _, _, _, process @ .., _, _, _] = ObjectId::new().bytes();
    process
}

/// Returns an id for the first document of a session. Node's servers take the document with the
/// greatest id, so this one is less than nearly all their ids of the same second.
pub(crate) fn new_session_id() -> ObjectId {
    let mut id = new_id().bytes();
    // The last byte moves behind the seconds, and becomes zero.
    id[4..].rotate_right(1);
    id[4] = 0;
    ObjectId::from_bytes(id)
}

/// Returns the id that follows another one in a session. All nodes get the same one, so only one of
/// them can insert its document. No process generates such an id itself: it differs from the other
/// one in the bytes that are the same in all ids of a process.
pub(crate) fn next_session_id(id: ObjectId) -> ObjectId {
    let mut id = id.bytes();
    for byte in id[..9].iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    ObjectId::from_bytes(id)
}

/// Parses an offset from a client, which can be any text.
pub(crate) fn parse_offset(offset: &Offset) -> Option<ObjectId> {
    ObjectId::parse_str(offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_time() {
        let before = ObjectId::new().bytes();
        let ids: Vec<_> = (0..1000).map(|_| new_id().bytes()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(before[..4] <= ids[0][..4] && ids[999][..4] <= ObjectId::new().bytes()[..4]);
        assert_eq!(ids[0][7..], before[4..9]);
    }

    #[test]
    fn ids_of_a_session_follow_each_other() {
        let first = new_session_id();
        assert!(first.bytes()[..5] < new_id().bytes()[..5] || first.bytes()[4] == 0);
        let id = |text| ObjectId::parse_str(text).unwrap();
        assert_eq!(next_session_id(id("6b0d2d7c4fa220e4b8144f5c")), id("6b0d2d7c4fa220e4b9144f5c"));
        assert_eq!(next_session_id(id("6b0d2d7cffffffffff144f5c")), id("6b0d2d7d0000000000144f5c"));
        assert_eq!(
            parse_offset(&"6b0d2d7c4fa220e4b8144f5c".into()),
            Some(id("6b0d2d7c4fa220e4b8144f5c"))
        );
        for bad in ["", "x", "6b0d2d7c4fa220e4b8144f5", "6b0d2d7c4fa220e4b8144f5cc", "0-0"] {
            assert_eq!(parse_offset(&bad.into()), None, "{bad}");
        }
    }
}
