//! `cargo xtask soak`: waves of misbehaving clients for hours, with a plot of what the server uses;
//! `cargo xtask hostile`: what hostile clients cost our server and Node's.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::bench::chart;
use crate::workspace::Workspace;
use crate::{npm, process};

const USAGE: &str = "usage: cargo xtask soak [--minutes N | --hours N]";

/// The counters of the plot: name, title, and the factor of the unit.
const PLOTTED: [(&str, &str, f64); 5] = [
    ("rss_kib", "resident memory in MiB", 1.0 / 1024.0),
    ("heap_kib", "heap in MiB", 1.0 / 1024.0),
    ("sessions", "sessions", 1.0),
    ("tasks", "tasks", 1.0),
    ("descriptors", "descriptors", 1.0),
];

/// Points of a line of the plot. Longer runs leave measurements out.
const POINTS: usize = 1000;

/// Runs the rig `soak`, by default as `cargo xtask test soak` does.
pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let mut command = command(workspace)?;
    if let Some(seconds) = seconds(args)? {
        command.arg(seconds.to_string());
    }
    let mut lines: [Vec<(f64, f64)>; PLOTTED.len()] = Default::default();
    let status = process::run_lines(&mut command, |line| {
        let counters: Value = serde_json::from_str(line).unwrap_or_default();
        let Some(seconds) = counters["seconds"].as_f64() else {
            return println!("{line}");
        };
        for (line, (name, _, factor)) in lines.iter_mut().zip(PLOTTED) {
            line.push((seconds, counters[name].as_f64().unwrap_or_default() * factor));
        }
    })?;
    if lines.iter().all(|line| line.len() > 1) {
        let step = lines[0].len().div_ceil(POINTS);
        let plots: Vec<_> = PLOTTED
            .iter()
            .zip(&lines)
            .map(|((_, title, _), line)| (*title, line.iter().copied().step_by(step).collect()))
            .collect();
        let path = workspace.target("soak.svg");
        fs::write(&path, chart::timeline("Misbehaving clients", &plots))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        println!("the plot is in {}", path.display());
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the table of the rig `hostile`, which takes the arguments.
pub(crate) fn hostile(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let folder = workspace.target("interop");
    npm::install_copy(&workspace.root.join("interop"), &folder)?;
    let mut command = with_files(&workspace.release_rig("hostile")?);
    command.arg("--node").arg(folder.join("servers/hostile.mjs")).args(args);
    process::run_ok(&mut command).map(|()| ExitCode::SUCCESS)
}

/// The command of the rig `soak`.
pub(crate) fn command(workspace: &Workspace) -> Result<Command, String> {
    Ok(with_files(&workspace.programs()?.bin("soak")))
}

/// A command whose clients need one file descriptor per connection. They inherit the limit of this
/// shell.
fn with_files(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 8192; exec \"$0\" \"$@\""]).arg(program);
    command
}

fn seconds(args: &[String]) -> Result<Option<u64>, String> {
    let [unit, number] = args else {
        return if args.is_empty() { Ok(None) } else { Err(USAGE.to_owned()) };
    };
    let unit = match unit.as_str() {
        "--minutes" => 60,
        "--hours" => 60 * 60,
        _ => return Err(USAGE.to_owned()),
    };
    match number.parse() {
        Ok(number @ 1..=10_000) => Ok(Some(number * unit)),
        _ => Err(format!("{USAGE}: N is a number from 1 to 10000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_minutes_are_accepted() {
        let parse = |words: &[&str]| {
            seconds(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["--hours", "2"]), Ok(Some(7200)));
        assert_eq!(parse(&["--minutes", "3"]), Ok(Some(180)));
        assert!(parse(&["--hours"]).is_err());
        assert!(parse(&["--hours", "0"]).is_err());
        assert!(parse(&["--days", "1"]).is_err());
    }
}
