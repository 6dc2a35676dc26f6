//! The load generator for servers with the contract of the `bench` rig.
//!
//! `load PORT PID SCENARIO [MILLISECONDS]` prints one line of JSON. The main figure is the server's CPU
//! time per message or delivery, read from the accounting of its process. Unlike a rate, it is
//! stable on a busy machine.

mod casts;
mod http;
mod scenario;
mod socket;

use std::{process::ExitCode, time::Duration};

use rigs::process::Process;
use serde_json::json;

use self::scenario::Scenario;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [port, pid, scenario, rest @ ..] => Scenario::find(scenario).and_then(|scenario| {
            let time = rest.first().map_or(Some(800), |text| text.parse().ok())?;
            Some((port.parse().ok()?, pid.parse().ok()?, scenario, Duration::from_millis(time)))
        }),
        _ => None,
    };
    let Some((port, pid, scenario, duration)) = parsed else {
        eprintln!(
            "usage: load PORT PID SCENARIO [MILLISECONDS]\nscenarios: {}",
            Scenario::NAMES.join(" ")
        );
        return ExitCode::FAILURE;
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(scenario.run(port, Process(pid), duration)) {
        Ok(figure) => {
            println!(
                "{}",
                json!({
                    "scenario": scenario.name, "units": figure.units, "us_per_unit": figure.micros,
                    "per_second": figure.rate, "lost_or_disordered": figure.wrong,
                    "kib_per_connection": figure.kib,
                    "p50_us": figure.percentile(50), "p99_us": figure.percentile(99),
                })
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {}: {error}", scenario.name);
            ExitCode::FAILURE
        }
    }
}
