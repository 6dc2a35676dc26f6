//! A number beyond those of JavaScript is `Infinity` there, as the name of an event as well.

use crate::common;

use common::args;

#[test]
fn an_event_named_by_a_huge_number_is_infinity() {
    assert_eq!(args("2[1e999]", &[]).event(), "Infinity");
    assert_eq!(args("2[-1e999,1]", &[]).event(), "-Infinity");
}
