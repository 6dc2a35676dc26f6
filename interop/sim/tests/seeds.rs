//! A few hundred worlds. `cargo xtask sim` runs more of them.

use sim::{Options, run};

#[test]
fn no_world_violates_an_invariant() {
    let violations: Vec<_> =
        (0..120).filter_map(|seed| run(seed, Options::default()).err()).collect();
    for violation in &violations {
        println!("{violation}\n");
    }
    assert!(violations.is_empty(), "{} seeds", violations.len());
}

#[test]
fn a_lost_event_is_reported() {
    for (seed, loses) in [(0, 100), (2, 50), (3, 30)] {
        let violation = run(seed, Options { loses: Some(loses), ..Options::default() });
        let invariant = violation.unwrap_err().invariant;
        assert!(invariant.starts_with("exactly once"), "{invariant}");
    }
}
