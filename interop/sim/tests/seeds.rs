//! A few hundred worlds. `cargo xtask sim` runs more of them.

use sim::{Options, run};

/// The options with which seeds were found that are older than some workloads.
fn with(workloads: usize) -> Options {
    Options { workloads, ..Options::default() }
}

/// Runs the worlds of some seeds. Prints the traces of those that violate an invariant, and returns
/// the violations.
fn violations(seeds: impl IntoIterator<Item = u64>, options: Options) -> Vec<String> {
    let violations = seeds.into_iter().filter_map(|seed| run(seed, options).err());
    let printed = violations.inspect(|violation| println!("{violation}\n"));
    printed.map(|violation| violation.invariant).collect()
}

#[test]
fn no_world_violates_an_invariant() {
    assert_eq!(violations(0..100, Options::default()), [""; 0]);
}

/// The client's CONNECT times out, and the response arrives after the next CONNECT was sent.
#[test]
fn a_late_response_to_connect_loses_and_repeats_no_missed_event() {
    assert_eq!(violations([12_671, 106_279, 106_295, 109_996, 119_074], with(0)), [""; 0]);
}

/// The engine refuses events while it has not returned earlier ones yet.
#[test]
fn a_node_that_loses_the_engine_keeps_the_order_of_its_events() {
    assert_eq!(violations([102_156, 113_085, 115_830, 125_051], with(0)), [""; 0]);
}

/// The missed events of one namespace leave no room for the response of the other one.
#[test]
fn a_client_that_missed_as_much_as_its_queue_holds_connects_to_both_namespaces() {
    assert_eq!(violations([107_025], with(0)), [""; 0]);
}

/// The engine has logged the event. Its node did not know, and delivered it without an offset.
#[test]
fn an_event_whose_response_was_lost_reaches_no_client_twice() {
    let seeds = [232, 294, 720, 806, 810, 1071, 1188, 1869, 2068, 2147];
    assert_eq!(violations(seeds, with(1)), [""; 0]);
}

/// The client returns while its node does not get the events of its own back from the engine.
#[test]
fn an_event_that_a_client_missed_is_not_delivered_late_too() {
    assert_eq!(violations([1_003_958], with(1)), [""; 0]);
}

/// The node does not wait for the earlier events any more, and does not know whether the engine has
/// logged them.
#[test]
fn an_event_that_the_engine_refuses_overtakes_no_unconfirmed_event() {
    assert_eq!(violations([1454], Options::default()), [""; 0]);
}

/// The client reads the later event in the log when it returns.
#[test]
fn a_returning_client_gets_no_unlogged_event_after_a_later_one() {
    assert_eq!(violations([6131], Options::default()), [""; 0]);
}

/// The client was on the node that sent the event, and is now on one that gets it later.
#[test]
fn a_volatile_event_reaches_no_client_on_two_nodes() {
    assert_eq!(violations([32_109, 42_911], with(1)), [""; 0]);
    assert_eq!(violations([32_661, 35_210], Options::default()), [""; 0]);
}

/// The engine delivers messages to a node that does not learn that it has joined, and then joins
/// again.
#[test]
fn a_node_that_joins_twice_leaves_no_gap() {
    assert_eq!(violations([44_497], with(1)), [""; 0]);
    assert_eq!(violations([35_004], Options::default()), [""; 0]);
}

/// The client has got the events on another node, or ahead of the log.
#[test]
fn an_event_that_the_log_returns_late_reaches_no_client_twice() {
    assert_eq!(violations([201_653, 212_145, 218_213], Options::default()), [""; 0]);
}

/// The client has read later events of the node in the log.
#[test]
fn an_event_that_the_engine_refuses_is_not_delivered_after_later_ones() {
    assert_eq!(violations([614_731], Options::default()), [""; 0]);
}

/// The client returns to the node twice, and meanwhile had its session on the other one.
#[test]
fn a_socket_whose_session_was_restored_elsewhere_leaves_nothing() {
    assert_eq!(violations([309_563], Options::default()), [""; 0]);
}

/// The node cannot remove the session from the engine when the client leaves the namespace.
#[test]
fn a_client_that_left_a_namespace_recovers_no_session_without_its_missed_events() {
    assert_eq!(violations([500_035], Options::default()), [""; 0]);
}

/// The client gets the events of two sessions after one another. The namespace was removed and made
/// again between the sessions.
#[test]
fn an_ack_is_not_taken_for_one_of_a_later_namespace_of_that_name() {
    assert_eq!(violations([620_563, 624_515], Options::default()), [""; 0]);
}

#[test]
fn acks_end_in_time_while_a_node_joins_or_stands_still() {
    assert_eq!(violations([13_979, 107_959, 109_554, 110_621], with(0)), [""; 0]);
    assert_eq!(violations([700_770], Options::default()), [""; 0]);
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
    let lost = (50..60).filter_map(|n| run(0, Options { loses: Some(n), ..with(0) }).err());
    let lost: Vec<_> = lost.map(|violation| violation.invariant).collect();
    assert!(lost.len() >= 6 && lost.iter().all(|it| it.starts_with("exactly once")), "{lost:?}");
}
