//! `cargo xtask rehearse`: replaces nodes under traffic, and lets clients change networks, with
//! Node's servers and clients beside ours.

use std::process::{Command, ExitCode};

use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use crate::bench::select;
use crate::test::python;
use crate::workspace::Workspace;
use crate::{npm, process};

const USAGE: &str = "\
usage: cargo xtask rehearse [ENGINE…] [--ways A,B] [--signals A,B] [--rates A,B] [--clients A,B] [--count N] [--switches N]

  ENGINE        redis-streams, mongodb, postgres-log or nats (default: all)
  --ways A,B    the nodes before and after: ours-ours, node-ours, ours-node, node-node (default: all)
  --signals A,B SIGTERM, SIGKILL (default: both)
  --rates A,B   messages per second, 1 to 1000 (default: 20,200)
  --clients A,B node for Node's client, rust for ours (default: both)
  --count N     clients of each case, 1 to 200 (default: 30)
  --switches N  how often a client's line is silenced, 0 to 10000 (default: 100)

\"late\" counts messages that took more than 1 s; \"slowest\" is the longest time in ms until a client
whose line was silenced was connected again. Without arguments it takes about 40 minutes. It fails
if a case between our nodes loses or repeats a message.";

const ENGINES: [&str; 4] = ["redis-streams", "mongodb", "postgres-log", "nats"];
const WAYS: [&str; 4] = ["ours-ours", "node-ours", "ours-node", "node-node"];
const SIGNALS: [&str; 2] = ["SIGTERM", "SIGKILL"];
const CLIENTS: [&str; 2] = ["node", "rust"];

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let cases = cases(args).map_err(|error| format!("{error}\n{USAGE}"))?;
    let folder = workspace.target("interop");
    npm::install_copy(&workspace.root.join("interop"), &folder)?;
    let programs = workspace.test_programs(&["cluster", "engines", "receivers", "recovery"])?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", programs.bin("cluster")).env("ENGINES", programs.bin("engines"));
    node.env("RECEIVERS", programs.bin("receivers"));
    node.env("RECOVERY_SERVER", programs.bin("recovery"));
    node.env("SECANTUSD", python::secantusdb(workspace)?);
    node.current_dir(&folder).arg("cluster/rehearse.mjs").arg(cases.to_string());
    let ended_well = process::run(&mut node)?.success();
    Ok(if ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The argument of `interop/cluster/rehearse.mjs`.
fn cases(args: &[String]) -> Result<Value, lexopt::Error> {
    let mut engines = Vec::new();
    let (mut ways, mut signals) = (WAYS.to_vec(), SIGNALS.to_vec());
    let (mut rates, mut clients) = (vec![20, 200], CLIENTS.to_vec());
    let (mut count, mut switches) = (30, 100);
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(engine) => engines.extend(named("engine", &engine.string()?, &ENGINES)?),
            Arg::Long("ways") => ways = named("way", &parser.value()?.string()?, &WAYS)?,
            Arg::Long("signals") => {
                signals = named("signal", &parser.value()?.string()?, &SIGNALS)?;
            }
            Arg::Long("rates") => {
                let list = parser.value()?.string()?;
                rates = list
                    .split(',')
                    .map(|rate| number("--rates", rate, 1, 1000))
                    .collect::<Result<_, _>>()?;
            }
            Arg::Long("clients") => {
                clients = named("client", &parser.value()?.string()?, &CLIENTS)?;
            }
            Arg::Long("count") => count = number("--count", &parser.value()?.string()?, 1, 200)?,
            Arg::Long("switches") => {
                switches = number("--switches", &parser.value()?.string()?, 0, 10_000)?;
            }
            arg => return Err(arg.unexpected()),
        }
    }
    if engines.is_empty() {
        engines = ENGINES.to_vec();
    }
    Ok(json!({
        "engines": engines, "ways": ways, "signals": signals, "rates": rates, "clients": clients,
        "count": count, "switches": switches,
    }))
}

fn named(what: &str, list: &str, all: &[&'static str]) -> Result<Vec<&'static str>, lexopt::Error> {
    select(what, list, &all.iter().map(|name| (*name, *name)).collect::<Vec<_>>())
}

fn number(option: &str, text: &str, least: u32, most: u32) -> Result<u32, lexopt::Error> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    let error = || format!("{option} takes numbers from {least} to {most}, not `{text}`");
    number.ok_or_else(|| error().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Value, String> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        cases(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_error_for_a_wrong_argument_names_the_right_ones() {
        for (args, expected) in [
            (
                &["mysql"][..],
                "unknown engine `mysql`; there are: redis-streams mongodb postgres-log nats",
            ),
            (&["--ways", "rust-node"], "unknown way `rust-node`"),
            (&["--signals=SIGHUP"], "unknown signal `SIGHUP`; there are: SIGTERM SIGKILL"),
            (&["--rates", "20,0"], "--rates takes numbers from 1 to 1000, not `0`"),
            (&["--count", "many"], "--count takes numbers from 1 to 200, not `many`"),
            (&["--nonsense"], "--nonsense"),
        ] {
            let error = read(args).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn cases_are_selected() {
        let all = read(&[]).unwrap();
        assert_eq!(all["engines"], json!(ENGINES));
        let some = read(&["nats", "--rates=50", "--clients", "rust", "--switches", "0"]).unwrap();
        assert_eq!(some["engines"], json!(["nats"]));
        assert_eq!(some["rates"], json!([50]));
        assert_eq!(some["clients"], json!(["rust"]));
        assert_eq!(some["signals"], all["signals"]);
    }
}
