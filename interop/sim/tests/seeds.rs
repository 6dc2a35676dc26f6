//! A few hundred worlds. `cargo xtask sim` runs more of them.

use sim::{Options, run};

#[test]
fn no_world_violates_an_invariant() {
    let violations: Vec<_> =
        (0..100).filter_map(|seed| run(seed, Options::default()).err()).collect();
    for violation in &violations {
        println!("{violation}\n");
    }
    assert!(violations.is_empty(), "{} seeds", violations.len());
}

/// The client's CONNECT times out, and the response arrives after the next CONNECT was sent.
#[test]
fn a_late_response_to_connect_loses_no_missed_event() {
    for seed in [12_671, 119_074] {
        let run = run(seed, Options::default());
        assert!(run.is_ok(), "{}", run.unwrap_err());
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..8 {
        let options = Options { nodes_stay: true, ..Options::default() };
        let runs = [(); 2].map(|()| run(seed, options).unwrap());
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}

/// The loss of the first or the last event of a session cannot be noticed.
#[test]
fn most_lost_events_are_reported() {
    let lost =
        (50..60).filter_map(|n| run(0, Options { loses: Some(n), ..Options::default() }).err());
    let lost: Vec<_> = lost.map(|violation| violation.invariant).collect();
    assert!(lost.len() >= 6 && lost.iter().all(|it| it.starts_with("exactly once")), "{lost:?}");
}
