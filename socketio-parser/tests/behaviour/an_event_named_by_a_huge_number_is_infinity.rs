//! The name of an event may be a number. One beyond the range of JavaScript is `Infinity`.

use crate::common;

use common::args;

#[test]
fn an_event_named_by_a_huge_number_is_infinity() {
    assert_eq!(args("2[1e999]", &[]).event(), "Infinity");
    assert_eq!(args("2[-1e999,1]", &[]).event(), "-Infinity");
}
