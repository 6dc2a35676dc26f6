//! `cargo xtask fuzz`: runs the fuzz bodies under libFuzzer, which the coverage guides. Without a C++
//! compiler, and for comparisons with Node's parsers, they run on mutated seeds.

mod coverage;
mod libfuzzer;

use std::fs;
use std::process::ExitCode;

use crate::workspace::Workspace;
use crate::{npm, process};

/// A test program with fuzz bodies. A body is a test that passes its own name to `fuzz::run`.
struct Suite {
    package: &'static str,
    /// The folder of the package.
    folder: &'static str,
    /// The arguments of `cargo test` that select the program.
    program: &'static [&'static str],
    /// The modules of the bodies, each with its file. Empty for the program's root.
    modules: &'static [(&'static str, &'static str)],
}

static SUITES: [Suite; 10] = [
    Suite {
        package: "engineio-parser",
        folder: "engineio-parser",
        program: &["--test", "behaviour"],
        modules: &[
            ("fuzz_bodies::", "tests/behaviour/fuzz_bodies.rs"),
            ("fuzz_node::", "tests/behaviour/fuzz_node.rs"),
        ],
    },
    Suite {
        package: "engineio-server",
        folder: "engineio-server",
        program: &["--lib"],
        modules: &[(
            "transport::webtransport::http3::tests::",
            "src/transport/webtransport/http3.rs",
        )],
    },
    Suite {
        package: "socketio-parser",
        folder: "socketio-parser",
        program: &["--test", "behaviour"],
        modules: &[
            ("fuzz_bodies::", "tests/behaviour/fuzz_bodies.rs"),
            ("fuzz_node::", "tests/behaviour/fuzz_node.rs"),
        ],
    },
    Suite {
        package: "socketio-adapter",
        folder: "adapters/core",
        program: &["--test", "fuzz_bodies"],
        modules: &[("", "tests/fuzz_bodies.rs")],
    },
    Suite {
        package: "socketio-adapter-redis",
        folder: "adapters/redis",
        program: &["--lib"],
        modules: &[
            ("classic::wire::tests::", "src/classic/wire.rs"),
            ("streams::entry::tests::", "src/streams/entry.rs"),
        ],
    },
    Suite {
        package: "socketio-adapter-postgres",
        folder: "adapters/postgres",
        program: &["--lib"],
        modules: &[("wire::tests::", "src/wire.rs")],
    },
    Suite {
        package: "socketio-adapter-mongodb",
        folder: "adapters/mongodb",
        program: &["--lib"],
        modules: &[("document::tests::", "src/document.rs")],
    },
    Suite {
        package: "socketio-adapter-nats",
        folder: "adapters/nats",
        program: &["--lib"],
        modules: &[
            ("frame::tests::", "src/frame.rs"),
            ("recovery::store::tests::", "src/recovery/store.rs"),
        ],
    },
    Suite {
        package: "fuzz",
        folder: "interop/fuzz",
        program: &["--test", "clients"],
        modules: &[
            ("", "tests/clients/main.rs"),
            ("webtransport::", "tests/clients/webtransport.rs"),
        ],
    },
    Suite {
        package: "fuzz",
        folder: "interop/fuzz",
        program: &["--test", "servers"],
        modules: &[
            ("server::", "tests/servers/server.rs"),
            ("transports::", "tests/servers/transports.rs"),
            ("webtransport::", "tests/servers/webtransport.rs"),
        ],
    },
];

/// A fuzz target.
struct Target {
    name: String,
    suite: &'static Suite,
    /// The path of the test.
    test: String,
}

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let options = Options::parse(args)?;
    let known = targets(workspace)?;
    if let Some(wanted) = &options.target
        && !known.iter().any(|target| target.name == *wanted)
    {
        let names: Vec<_> = known.into_iter().map(|target| target.name).collect();
        return Err(format!(
            "unknown fuzz target `{wanted}`; the targets are: {}",
            names.join(" ")
        ));
    }
    let guided = process::exists("c++");
    if !guided {
        println!("libFuzzer needs a C++ compiler; all targets run on mutated seeds");
    }
    let (covered, stable): (Vec<_>, Vec<_>) = known
        .iter()
        .filter(|target| options.target.as_ref().is_none_or(|wanted| *wanted == target.name))
        .partition(|target| guided && !target.compares_with_node());
    for suite in &SUITES {
        let targets: Vec<_> =
            covered.iter().filter(|target| std::ptr::eq(target.suite, suite)).collect();
        if targets.is_empty() {
            continue;
        }
        let program = libfuzzer::build(workspace, suite)?;
        let seconds = (options.seconds / targets.len() as u64).max(1);
        let mut reached = coverage::Edges::new();
        for target in targets {
            reached.extend(libfuzzer::run(workspace, &program, target, seconds, options.keep)?);
        }
        coverage::print(workspace, &program, &reached)?;
    }
    let folder = workspace.target("interop");
    if stable.iter().any(|target| target.compares_with_node()) {
        npm::install_copy(&workspace.root.join("interop"), &folder)?;
    }
    for suite in &SUITES {
        let tests: Vec<_> = stable
            .iter()
            .filter(|target| std::ptr::eq(target.suite, suite))
            .map(|target| target.test.as_str())
            .collect();
        if tests.is_empty() {
            continue;
        }
        println!("running {} under the stable compiler: {}", suite.package, tests.join(" "));
        let mut cargo = workspace.cargo();
        cargo.env("FUZZ_SECONDS", options.seconds.to_string()).env("PEER_PACKAGES", &folder);
        process::run_ok(cargo.args(stable_args(suite, &tests)))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u64,
    target: Option<String>,
    /// Whether the inputs that libFuzzer found are written to the source tree.
    keep: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { seconds: 60, target: None, keep: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let unit = match arg.as_str() {
                "--seconds" => Some(1),
                "--minutes" => Some(60),
                "--hours" => Some(60 * 60),
                _ => None,
            };
            if let Some(unit) = unit {
                let value = args.next().map_or("", String::as_str);
                let number: u64 = value.parse().unwrap_or(0);
                if !(1..=100_000).contains(&number) {
                    return Err(format!("{arg} takes a number from 1 to 100000, not `{value}`"));
                }
                options.seconds = number * unit;
            } else if arg == "--keep" {
                options.keep = true;
            } else if arg.starts_with('-') || options.target.is_some() {
                return Err(
                    "usage: cargo xtask fuzz [--seconds N | --minutes N | --hours N] [--keep] [target]"
                        .to_owned(),
                );
            } else {
                options.target = Some(arg.clone());
            }
        }
        Ok(options)
    }
}

impl Target {
    /// Returns whether the body passes its inputs to Node in batches.
    fn compares_with_node(&self) -> bool {
        self.name.starts_with("node_")
    }
}

/// Returns the fuzz targets: the tests that run a body.
fn targets(workspace: &Workspace) -> Result<Vec<Target>, String> {
    let mut all = Vec::new();
    for suite in &SUITES {
        for (module, file) in suite.modules {
            let path = workspace.root.join(suite.folder).join(file);
            let text = fs::read_to_string(&path).map_err(|error| format!("{path:?}: {error}"))?;
            all.extend(bodies(&text).map(|name| Target {
                name: name.to_owned(),
                suite,
                test: format!("{module}{name}"),
            }));
        }
    }
    Ok(all)
}

/// The names of the tests that run a body under their own name.
fn bodies(text: &str) -> impl Iterator<Item = &str> {
    let functions = text.split("#[test]").skip(1);
    functions.filter_map(|function| {
        let (name, body) = function.split_once("fn ")?.1.split_once('(')?;
        let body = body.split_once("\n}").map_or(body, |(body, _)| body);
        body.contains(&format!("\"{name}\"")).then_some(name)
    })
}

fn stable_args<'a>(suite: &Suite, tests: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["test", "--profile", "fuzz", "-p", suite.package, "--all-features"];
    args.extend(suite.program);
    args.extend(["--", "--nocapture", "--include-ignored", "--exact"]);
    args.extend(tests);
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
        let wanted = Options { seconds: 300, target: Some("packet".to_owned()), keep: false };
        assert_eq!(parse(&["packet", "--minutes", "5"]).as_ref(), Ok(&wanted));
        assert_eq!(parse(&["--minutes", "5", "packet"]).as_ref(), Ok(&wanted));
        assert_eq!(parse(&[]), Ok(Options { seconds: 60, target: None, keep: false }));
        assert!(parse(&["--keep"]).unwrap().keep);
        assert_eq!(parse(&["--hours", "2"]).unwrap().seconds, 7200);
    }

    /// `cargo test` succeeds if its filter matches no test, so the names must be right.
    #[test]
    fn every_suite_has_targets() {
        let workspace = Workspace::find().unwrap();
        let all = targets(&workspace).unwrap();
        for suite in &SUITES {
            for (module, file) in suite.modules {
                let of_module =
                    |it: &Target| std::ptr::eq(it.suite, suite) && it.test.starts_with(module);
                assert!(all.iter().any(of_module), "{file} has no target");
            }
        }
    }

    /// The tests of the bodies begin with the inputs of their corpus.
    #[test]
    fn every_target_has_a_small_corpus() {
        let workspace = Workspace::find().unwrap();
        for target in targets(&workspace).unwrap() {
            if target.compares_with_node() {
                continue;
            }
            let kept = libfuzzer::kept(&workspace, &target);
            let text = fs::read_to_string(&kept).unwrap_or_default();
            let inputs = text.lines().count();
            assert!((1..=libfuzzer::KEPT).contains(&inputs), "{kept:?} has {inputs} inputs");
            assert!(text.len() <= libfuzzer::KEPT_BYTES, "{kept:?} has {} bytes", text.len());
        }
    }

    #[test]
    fn a_body_is_a_test_that_runs_under_its_own_name() {
        let text = "#[test]\nfn one() {\n    run(\"one\", 1);\n}\n#[test]\nfn two() {\n}\n";
        assert_eq!(bodies(text).collect::<Vec<_>>(), ["one"]);
        let suite = &SUITES[0];
        let args = stable_args(suite, &["fuzz_bodies::packet"]);
        assert_eq!(args[args.len() - 2..], ["--exact", "fuzz_bodies::packet"]);
    }

    #[test]
    fn invalid_options_are_refused() {
        assert!(parse(&["--minutes", "soon"]).unwrap_err().contains("`soon`"));
        assert!(parse(&["--minutes", "0"]).is_err());
        assert!(parse(&["--minutes"]).is_err());
        assert!(parse(&["one", "two"]).is_err());
    }
}
