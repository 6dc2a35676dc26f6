//! `cargo xtask fuzz`: runs cargo-fuzz if it is installed, otherwise the same fuzz bodies under the
//! stable compiler.

mod seeds;

use std::fs;
use std::process::{Command, ExitCode, Stdio};

use crate::process;
use crate::workspace::Workspace;

const CRATES: [&str; 2] = ["engineio-parser", "socketio-parser"];

/// Limits of libFuzzer for one input: 512 MiB and 5 seconds. Only a decoder of quadratic cost
/// exceeds them.
const LIMITS: [&str; 2] = ["-rss_limit_mb=512", "-timeout=5"];

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let options = Options::parse(args)?;
    let known = targets(workspace);
    if let Some(wanted) = &options.target
        && !known.iter().any(|(_, name)| name == wanted)
    {
        let names: Vec<_> = known.into_iter().map(|(_, name)| name).collect();
        return Err(format!(
            "unknown fuzz target `{wanted}`; the targets are: {}",
            names.join(" ")
        ));
    }
    let chosen: Vec<_> = known
        .iter()
        .filter(|(_, name)| options.target.as_ref().is_none_or(|wanted| wanted == name))
        .collect();
    if !has_cargo_fuzz() {
        println!(
            "cargo-fuzz or a nightly compiler is missing; running the same bodies under the stable compiler"
        );
        for krate in CRATES {
            if chosen.iter().any(|(of, _)| *of == krate) {
                stable(workspace, krate, &options)?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    println!("running cargo-fuzz with the nightly compiler");
    for (krate, name) in &chosen {
        let of_crate = chosen.iter().filter(|(of, _)| of == krate).count() as u64;
        seeds::write(workspace, krate, name)?;
        nightly(workspace, krate, name, (options.seconds / of_crate).max(1))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u64,
    target: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { seconds: 60, target: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--minutes" {
                let value = args.next().map_or("", String::as_str);
                let minutes: u64 = value.parse().unwrap_or(0);
                if !(1..=100_000).contains(&minutes) {
                    return Err(format!(
                        "--minutes takes a number from 1 to 100000, not `{value}`"
                    ));
                }
                options.seconds = minutes * 60;
            } else if arg.starts_with('-') || options.target.is_some() {
                return Err("usage: cargo xtask fuzz [--minutes N] [target]".to_owned());
            } else {
                options.target = Some(arg.clone());
            }
        }
        Ok(options)
    }
}

/// All fuzz targets, each with its crate.
fn targets(workspace: &Workspace) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for krate in CRATES {
        let folder = workspace.root.join(krate).join("fuzz/fuzz_targets");
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".rs"))
            {
                all.push((krate, name.to_owned()));
            }
        }
    }
    all.sort();
    all
}

fn has_cargo_fuzz() -> bool {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo", "fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs one target under libFuzzer. The build goes into cargo's target folder instead of the source
/// tree.
fn nightly(workspace: &Workspace, krate: &str, target: &str, seconds: u64) -> Result<(), String> {
    let mut rustup = Command::new("rustup");
    rustup.current_dir(workspace.root.join(krate)).args(["run", "nightly", "cargo", "fuzz", "run"]);
    rustup.arg("--target-dir").arg(workspace.target("fuzz")).arg(target);
    rustup.arg("--").arg(format!("-max_total_time={seconds}")).args(LIMITS);
    process::run_ok(&mut rustup)
}

/// Runs the fuzz targets of a crate, or the chosen one, as tests under the stable compiler.
fn stable(workspace: &Workspace, krate: &str, options: &Options) -> Result<(), String> {
    let mut cargo = workspace.cargo();
    cargo.env("FUZZ_SECONDS", options.seconds.to_string());
    process::run_ok(cargo.args(stable_args(krate, options.target.as_deref())))
}

fn stable_args(krate: &str, target: Option<&str>) -> Vec<String> {
    let mut args = ["test", "-p", krate, "--all-features", "--test", "behaviour", "--"]
        .map(str::to_owned)
        .to_vec();
    match target {
        Some(target) => args.extend(["--exact".to_owned(), format!("fuzz_bodies::{target}")]),
        None => args.push("fuzz_bodies::".to_owned()),
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn minutes_and_target_are_accepted_in_any_order() {
        let wanted = Options { seconds: 300, target: Some("packet".to_owned()) };
        assert_eq!(parse(&["packet", "--minutes", "5"]).as_ref(), Ok(&wanted));
        assert_eq!(parse(&["--minutes", "5", "packet"]).as_ref(), Ok(&wanted));
        assert_eq!(parse(&[]), Ok(Options { seconds: 60, target: None }));
    }

    /// `cargo test` succeeds if its filter matches no test, so the names must be right.
    #[test]
    fn every_fuzz_target_has_a_body_under_the_stable_compiler() {
        let workspace = Workspace::find().unwrap();
        let all = targets(&workspace);
        assert!(!all.is_empty());
        for (krate, name) in all {
            let bodies = workspace.root.join(krate).join("tests/behaviour/fuzz_bodies.rs");
            let bodies = fs::read_to_string(bodies).unwrap();
            assert!(
                bodies.contains(&format!("\nfn {name}() {{")),
                "{krate} has no body for {name}"
            );
            let args = stable_args(krate, Some(&name));
            assert_eq!(args.last().unwrap(), &format!("fuzz_bodies::{name}"));
        }
    }

    #[test]
    fn invalid_options_are_refused() {
        assert!(parse(&["--minutes", "soon"]).unwrap_err().contains("`soon`"));
        assert!(parse(&["--minutes", "0"]).is_err());
        assert!(parse(&["--minutes"]).is_err());
        assert!(parse(&["one", "two"]).is_err());
    }
}
