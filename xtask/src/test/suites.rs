//! The suites in the order in which they run: quick and cheap checks come first.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::counts::{self, Libtest};
use super::install;
use super::interop;
use super::minimal::minimal;
use super::outcome::{Outcome, Suite};
use super::python;
use super::readme::readme;
use crate::workspace::Workspace;
use crate::{api, models, process, soak, tidy};

pub(super) const ALL: &[Suite] = &[
    Suite { name: "fmt", about: "formatting", quick: true, run: fmt },
    Suite { name: "clippy", about: "lints, warnings denied", quick: true, run: clippy },
    Suite {
        name: "features",
        about: "lints of the servers and the client without their default features",
        quick: false,
        run: features,
    },
    Suite { name: "tidy", about: "the invariants of ARCHITECTURE.md", quick: true, run: tidy_step },
    Suite {
        name: "engines",
        about: "engines, proxies, Prometheus and valgrind, installed if they are missing",
        quick: true,
        run: install::engines,
    },
    Suite {
        name: "tests",
        about: "unit, integration, property and documentation tests",
        quick: true,
        run: tests,
    },
    Suite {
        name: "models",
        about: "threads of a session, in many orders under shuttle",
        quick: false,
        run: models,
    },
    Suite { name: "docs", about: "documentation, warnings denied", quick: false, run: docs },
    Suite {
        name: "api",
        about: "the public items of the crates, compared with the lists in xtask/api",
        quick: false,
        run: api_step,
    },
    Suite {
        name: "deny",
        about: "sources, licenses and advisories of the dependencies, by the rules in deny.toml",
        quick: false,
        run: deny,
    },
    Suite {
        name: "readme",
        about: "the README's first programs in a project of their own",
        quick: false,
        run: readme,
    },
    Suite {
        name: "wasm",
        about: "builds of the parsers and socketio-core for wasm32-unknown-unknown",
        quick: false,
        run: wasm,
    },
    Suite {
        name: "minimal",
        about: "the lowest versions of the dependencies and of the compiler",
        quick: false,
        run: minimal,
    },
    Suite {
        name: "rigs",
        about: "builds of the examples, test servers, load programs and the demo",
        quick: false,
        run: rigs,
    },
    Suite {
        name: "node",
        about: "Node clients against the conformance server",
        quick: false,
        run: interop::node,
    },
    Suite {
        name: "client",
        about: "our client against Node's servers and ours, our parsers against Node's",
        quick: false,
        run: interop::client,
    },
    Suite {
        name: "cluster",
        about: "our nodes and Node's in one cluster, on real engines",
        quick: false,
        run: interop::cluster,
    },
    Suite {
        name: "python",
        about: "Python clients against the conformance server",
        quick: false,
        run: python::python,
    },
    Suite {
        name: "soak",
        about: "resources that remain after hundreds of misbehaving clients",
        quick: false,
        run: soak_step,
    },
    Suite {
        name: "browser",
        about: "the demo and the public JavaScript clients in Chromium, Firefox and WebKit",
        quick: false,
        run: interop::browser,
    },
];

fn fmt(workspace: &Workspace) -> Result<Outcome, String> {
    simple(workspace.cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<Outcome, String> {
    // `--all-targets` covers only targets that `cargo test` runs by default. The client's `node`
    // tests are not among them.
    let everything: [&[&str]; 2] =
        [&["--workspace", "--all-targets"], &["-p", "socketio-async-client", "--test", "node"]];
    for targets in everything {
        let mut cargo = workspace.cargo();
        cargo.arg("clippy").args(targets).args(["--all-features", "--", "-D", "warnings"]);
        process::run_ok(&mut cargo)?;
    }
    Ok(Outcome::good())
}

fn features(workspace: &Workspace) -> Result<Outcome, String> {
    // The tests' dependencies enable features of the libraries, so the libraries are also built
    // alone.
    for targets in ["--all-targets", "--lib"] {
        let mut cargo = workspace.cargo();
        cargo.args(["clippy", "-p", "engineio-server", "-p", "socketio-server"]);
        cargo.args(["-p", "socketio-async-client", targets, "--no-default-features"]);
        process::run_ok(cargo.args(["--", "-D", "warnings"]))?;
    }
    Ok(Outcome::good())
}

fn tidy_step(workspace: &Workspace) -> Result<Outcome, String> {
    let complaints = tidy::complaints(workspace)?;
    Ok(if complaints.is_empty() {
        Outcome::good()
    } else {
        Outcome { failed: 1, passed: 0, notes: complaints }
    })
}

fn api_step(workspace: &Workspace) -> Result<Outcome, String> {
    let changes = api::changes(workspace, false)?;
    Ok(if changes.is_empty() {
        Outcome::good()
    } else {
        let mut outcome = Outcome::broken("`cargo xtask api --update` accepts changes:".to_owned());
        outcome.notes.extend(changes);
        outcome
    })
}

fn deny(workspace: &Workspace) -> Result<Outcome, String> {
    // It runs for a few seconds, so it is not worth optimizing.
    let mut deny = install::cargo_tool(workspace, "deny", &["--debug"])?;
    let mut outcome = simple(deny.args(["--locked", "check", "bans", "licenses", "sources"]))?;
    let mut fetch = install::cargo_tool(workspace, "deny", &["--debug"])?;
    if process::output(fetch.args(["--locked", "fetch", "db"])).is_err() {
        outcome.notes.push("not run: the database of advisories cannot be reached".to_owned());
        return Ok(outcome);
    }
    let mut deny = install::cargo_tool(workspace, "deny", &["--debug"])?;
    outcome.add(simple(deny.args(["--frozen", "check", "advisories"]))?);
    Ok(outcome)
}

/// Runs the tests with nextest if it can be had. Examples are left out: clippy checks them, and the
/// suite `rigs` builds them.
fn tests(workspace: &Workspace) -> Result<Outcome, String> {
    let selected = ["--workspace", "--all-features", "--lib", "--bins", "--tests"];
    let mut outcome = match install::cargo_tool(workspace, "nextest", &[]) {
        Ok(mut nextest) => {
            let report = workspace.target("nextest/default/junit.xml");
            // Removes the previous report, which must not be taken for this run's.
            let _ = fs::remove_file(&report);
            let secantusdb = python::secantusdb(workspace)?;
            let status =
                process::run(nextest.env("SECANTUSD", secantusdb).arg("run").args(selected))?;
            let report = fs::read_to_string(report).unwrap_or_default();
            counts::junit(&report, status.success(), "`cargo nextest` failed outside the tests")
        }
        Err(why) => {
            println!("{why}; `cargo test` takes its place");
            let mut cargo = workspace.cargo();
            cargo.env("SECANTUSD", python::secantusdb(workspace)?);
            libtest(cargo.arg("test").args(selected).arg("--no-fail-fast"))?
        }
    };
    let mut doc = workspace.cargo();
    doc.args(["test", "--doc", "--workspace", "--all-features", "--no-fail-fast"]);
    outcome.add(libtest(&mut doc)?);
    outcome.notes.extend(misuse_not_run(workspace)?);
    Ok(outcome)
}

/// Returns a note if the test of the package `misuse` was not run, because this compiler's messages
/// are others.
fn misuse_not_run(workspace: &Workspace) -> Result<Option<String>, String> {
    let file = workspace.root.join("socketio-core/misuse/lib.rs");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let of = text.lines().find_map(|line| line.trim().strip_prefix("const COMPILER: &str = \""));
    let of = of.and_then(|rest| rest.split('"').next()).ok_or("`misuse` names no compiler")?;
    let this = process::output(workspace.rustc().arg("--version"))?;
    let note = || format!("not run: the test of `misuse` needs {of}x, this is {}", this.trim());
    Ok((!this.starts_with(of)).then(note))
}

/// Runs tests with `cargo test`.
pub(super) fn libtest(cargo: &mut Command) -> Result<Outcome, String> {
    let mut counts = Libtest::default();
    let status = process::run_lines(cargo, |line| {
        counts.read(line);
        // Hides the lines of passed tests, so that failures stand out.
        if !line.ends_with(" ... ok") {
            println!("{line}");
        }
    })?;
    Ok(counts
        .outcome(status.success(), "`cargo test` failed outside the tests; its message is above"))
}

fn models(workspace: &Workspace) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    for mut program in models::programs(workspace, 500)? {
        outcome.add(libtest(&mut program)?);
    }
    Ok(outcome)
}

fn docs(workspace: &Workspace) -> Result<Outcome, String> {
    simple(workspace.cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
    ]))
}

fn wasm(workspace: &Workspace) -> Result<Outcome, String> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let mut rustc = workspace.rustc();
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let libraries = process::output(&mut rustc)?;
    if !Path::new(libraries.trim()).is_dir() {
        return Ok(Outcome::not_run(&format!(
            "the target is missing (rustup target add {TARGET})"
        )));
    }
    simple(workspace.cargo().args([
        "build",
        "--target",
        TARGET,
        "-p",
        "engineio-parser",
        "-p",
        "socketio-parser",
        "-p",
        "socketio-core",
    ]))
}

fn rigs(workspace: &Workspace) -> Result<Outcome, String> {
    workspace.programs().map(|_| Outcome::good())
}

fn soak_step(workspace: &Workspace) -> Result<Outcome, String> {
    simple(&mut soak::command(workspace)?)
}

fn simple(command: &mut Command) -> Result<Outcome, String> {
    process::run_ok(command).map(|()| Outcome::good())
}
