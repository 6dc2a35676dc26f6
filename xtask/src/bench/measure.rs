//! The measurement of one case: rounds that alternate between the programs.

use std::collections::BTreeMap;
use std::process::Command;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cases::{Case, Kind, PROGRAMS, Program};
use super::options::Options;
use super::programs::{FILES, Programs, generate, start};

/// How long the load lasts, in milliseconds.
const DURATION: &str = "800";
/// A load generator that runs longer has met a server that no longer responds.
const SECONDS: u32 = 40;
/// Pings for idle connections, in milliseconds, so that some arrive before the memory is read.
const IDLE_PING_INTERVAL: &str = "1000";
/// The same for idle clients. Our client frees buffers after a silence of a second.
const CLIENT_PING_INTERVAL: &str = "3000";
/// How many seconds after they have connected the memory of idle clients is read, less one.
const CLIENT_SECONDS: &str = "4";

/// The figures of one program in one case.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Figure {
    /// In the unit of the case.
    pub(super) cost: f64,
    /// Latencies in µs. 0 if the case has none.
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Messages that were lost or out of order.
    pub(super) wrong: u64,
}

/// Measures the selected programs. A program that fails has no figure; the reason is printed.
pub(super) fn case(
    programs: &Programs,
    case: &Case,
    options: &Options,
) -> BTreeMap<String, Figure> {
    let mut rounds: BTreeMap<String, Vec<Figure>> = BTreeMap::new();
    for _ in 0..if case.needs_one_round() { 1 } else { options.rounds } {
        for program in options.programs.iter().filter(|program| case.measures(**program)) {
            match one(programs, case, *program, options.quick) {
                Ok(figure) => rounds.entry(program.name.to_owned()).or_default().push(figure),
                Err(error) => eprintln!("{}, {}: {error}", case.name, program.name),
            }
        }
    }
    rounds.into_iter().filter_map(|(name, figures)| Some((name, median(figures)?))).collect()
}

/// The figures of the round with the median cost, and what went wrong in any of the rounds.
fn median(mut figures: Vec<Figure>) -> Option<Figure> {
    figures.sort_by(|one, other| one.cost.total_cmp(&other.cost));
    let wrong = figures.iter().map(|figure| figure.wrong).sum();
    figures.get(figures.len() / 2).map(|figure| Figure { wrong, ..*figure })
}

fn one(programs: &Programs, case: &Case, program: Program, quick: bool) -> Result<Figure, String> {
    match case.kind {
        Kind::Load(scenario) => {
            let mut server = programs.server(program);
            let variant = match case.name {
                "raw16" => Some("RAW"),
                "typed-echo16" | "typed-ack16" => Some("TYPED"),
                "rooms64x8-queue" => Some("GLOBAL_QUEUE_INTERVAL"),
                _ => None,
            };
            server.envs(variant.map(|variable| (variable, "1")));
            let idle = scenario == "idle";
            if idle {
                server.env("PING_INTERVAL", IDLE_PING_INTERVAL);
            }
            let scenario = if idle && quick { "idle1k" } else { scenario };
            let json = under_load(&server, programs.rig("load"), &[scenario, DURATION])?;
            Ok(Figure {
                cost: match idle {
                    true => number(&json, "/kib_per_connection") * 1024.0,
                    false => number(&json, "/us_per_unit"),
                },
                p50: number(&json, "/p50_us"),
                p99: number(&json, "/p99_us"),
                wrong: number(&json, "/lost_or_disordered") as u64,
            })
        }
        Kind::Flood(flood) => {
            let mut server = programs.server(program);
            server.env("DEFLATE", if flood == "deflate" { "1" } else { "0" });
            // The events of floods have other arguments than the struct.
            server.env("TYPED", "0");
            let json = under_load(&server, programs.rig("floods"), &[flood, "4", "10"])?;
            Ok(Figure {
                // The kernel updates the CPU time of a busy thread every few milliseconds only.
                cost: number(&json, "/figures/cpu_ms/mean"),
                p50: number(&json, "/figures/ms/median") * 1e3,
                p99: number(&json, "/figures/ms/most") * 1e3,
                wrong: 0,
            })
        }
        Kind::Codec(direction) => {
            let mut codec = programs.codec(program);
            let json = generate(codec.arg(direction), FILES, SECONDS)?;
            Ok(Figure { cost: number(&json, "/ns"), ..Figure::default() })
        }
        Kind::Client(in_flight, transport) => {
            let idle = in_flight == "0";
            let mut server = programs.server(PROGRAMS[0]);
            if idle {
                server.env("PING_INTERVAL", CLIENT_PING_INTERVAL);
            }
            let seconds = if idle { CLIENT_SECONDS } else { "1" };
            let (_server, port) = start(&server, FILES)?;
            let mut client = programs.client(program);
            let connections = match (idle, transport) {
                (false, _) => "10",
                (true, "polling") => "400",
                (true, _) => "1000",
            };
            client.args([&port.to_string(), connections, in_flight, seconds, transport]);
            let json = generate(&client, FILES, SECONDS)?;
            Ok(Figure {
                cost: if idle { number(&json, "/kib") * 1024.0 } else { number(&json, "/cpu_us") },
                wrong: number(&json, "/wrong") as u64,
                ..Figure::default()
            })
        }
    }
}

/// Runs a load generator, whose first arguments are the port and the process of the server.
fn under_load(server: &Command, mut load: Command, args: &[&str]) -> Result<Value, String> {
    let (server, port) = start(server, FILES)?;
    load.args([port.to_string(), server.id().to_string()]).args(args);
    generate(&load, FILES, SECONDS)
}

/// The number at a JSON pointer, or 0.
pub(super) fn number(json: &Value, pointer: &str) -> f64 {
    json.pointer(pointer).and_then(Value::as_f64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_the_losses_of_all_rounds() {
        let of = |cost, wrong| Figure { cost, wrong, ..Figure::default() };
        let figure = median(vec![of(3.0, 1), of(1.0, 2), of(2.0, 0)]).unwrap();
        assert_eq!((figure.cost, figure.wrong), (2.0, 3));
        assert!(median(Vec::new()).is_none());
    }
}
