//! Runs the simulated world for a range of seeds.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use sim::Options;

const USAGE: &str = "\
usage: sim [--workloads N] [--seeds N] [--from S]   runs N seeds (default 1000) from S on
       sim [--workloads N] --seed S                 runs one seed, and prints its trace
With --workloads 0 or 1, the world has only the workloads of the first seeds, or of earlier ones.";

fn main() -> ExitCode {
    let (mut seeds, mut from, mut options) = (1000, 0, Options::default());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().and_then(|value| value.parse::<u64>().ok());
        match (arg.as_str(), value) {
            ("--seeds", Some(count)) => seeds = count,
            ("--from", Some(seed)) => from = seed,
            ("--workloads", Some(workloads)) => options.workloads = workloads as usize,
            ("--seed", Some(seed)) => (from, seeds, options.prints) = (seed, 1, true),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    let began = Instant::now();
    let (mut failed, mut time) = (Vec::new(), Duration::ZERO);
    let (mut sessions, mut recovered, mut events, mut acks) = (0, 0, 0, 0);
    for seed in from..from + seeds {
        match sim::run(seed, options) {
            Ok(outcome) => {
                time += outcome.time;
                sessions += outcome.counts.sessions;
                recovered += outcome.counts.recovered;
                events += outcome.counts.received + outcome.counts.handled;
                acks += outcome.counts.acked;
            }
            Err(violation) => {
                if options.prints {
                    println!("{}", violation.invariant);
                } else {
                    println!("{violation}\n");
                }
                failed.push(seed);
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds from {from}: {sessions} sessions ({recovered} recovered), {events} events, \
         {acks} acks in {:.1} simulated hours and {took:.1} s ({:.0} sessions per second)",
        time.as_secs_f64() / 3600.0,
        sessions as f64 / took
    );
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} seeds violate an invariant: {failed:?}", failed.len());
    ExitCode::FAILURE
}
