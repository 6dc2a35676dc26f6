//! `cargo xtask fuzz`: runs the bodies of the parsers under libFuzzer, which the coverage guides, and
//! all others on mutated seeds.

mod libfuzzer;
mod seeds;

use std::fs;
use std::process::ExitCode;

use crate::workspace::Workspace;
use crate::{npm, process};

/// A test program with fuzz bodies. A body is a test that passes its own name to `fuzz::run`.
struct Suite {
    package: &'static str,
    /// The arguments of `cargo test` that select the program.
    program: &'static [&'static str],
    /// The modules of the bodies, each with its file. Empty for the program's root.
    modules: &'static [(&'static str, &'static str)],
}

const SUITES: [Suite; 9] = [
    Suite {
        package: "engineio-parser",
        program: &["--test", "behaviour"],
        modules: &[
            ("fuzz_bodies::", "engineio-parser/tests/behaviour/fuzz_bodies.rs"),
            ("fuzz_node::", "engineio-parser/tests/behaviour/fuzz_node.rs"),
        ],
    },
    Suite {
        package: "engineio-server",
        program: &["--lib"],
        modules: &[(
            "transport::webtransport::http3::tests::",
            "engineio-server/src/transport/webtransport/http3.rs",
        )],
    },
    Suite {
        package: "socketio-parser",
        program: &["--test", "behaviour"],
        modules: &[
            ("fuzz_bodies::", "socketio-parser/tests/behaviour/fuzz_bodies.rs"),
            ("fuzz_node::", "socketio-parser/tests/behaviour/fuzz_node.rs"),
        ],
    },
    Suite {
        package: "socketio-adapter",
        program: &["--test", "fuzz_bodies"],
        modules: &[("", "adapters/core/tests/fuzz_bodies.rs")],
    },
    Suite {
        package: "socketio-adapter-redis",
        program: &["--lib"],
        modules: &[("classic::wire::tests::", "adapters/redis/src/classic/wire.rs")],
    },
    Suite {
        package: "socketio-adapter-postgres",
        program: &["--lib"],
        modules: &[("wire::tests::", "adapters/postgres/src/wire.rs")],
    },
    Suite {
        package: "socketio-adapter-mongodb",
        program: &["--lib"],
        modules: &[("document::tests::", "adapters/mongodb/src/document.rs")],
    },
    Suite {
        package: "socketio-adapter-nats",
        program: &["--lib"],
        modules: &[("frame::tests::", "adapters/nats/src/frame.rs")],
    },
    Suite {
        package: "fuzz",
        program: &["--test", "fuzz_bodies"],
        modules: &[
            ("client::", "interop/fuzz/tests/fuzz_bodies/client.rs"),
            ("server::", "interop/fuzz/tests/fuzz_bodies/server.rs"),
            ("transports::", "interop/fuzz/tests/fuzz_bodies/transports.rs"),
            ("webtransport::", "interop/fuzz/tests/fuzz_bodies/webtransport.rs"),
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
        println!("libFuzzer needs a C++ compiler; its targets run on mutated seeds");
    }
    let (covered, stable): (Vec<_>, Vec<_>) = known
        .iter()
        .filter(|target| options.target.as_ref().is_none_or(|wanted| *wanted == target.name))
        .partition(|target| guided && target.has_binary(workspace));
    for target in &covered {
        let (krate, name) = (target.suite.package, &target.name);
        let of_crate = covered.iter().filter(|other| other.suite.package == krate).count() as u64;
        let seconds = (options.seconds / of_crate).max(1);
        libfuzzer::run(workspace, krate, name, seconds, options.keep)?;
    }
    let folder = workspace.target("interop");
    if stable.iter().any(|target| target.name.starts_with("node_")) {
        npm::install_copy(&workspace.root.join("interop"), &folder)?;
    }
    for suite in &SUITES {
        let tests: Vec<_> = stable
            .iter()
            .filter(|target| target.suite.package == suite.package)
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
    /// Returns whether the target also has a program with libFuzzer.
    fn has_binary(&self, workspace: &Workspace) -> bool {
        let folder = workspace.root.join(self.suite.package).join("fuzz/fuzz_targets");
        folder.join(format!("{}.rs", self.name)).exists()
    }
}

/// Returns the fuzz targets: the tests that run a body.
fn targets(workspace: &Workspace) -> Result<Vec<Target>, String> {
    let mut all = Vec::new();
    for suite in &SUITES {
        for (module, file) in suite.modules {
            let text = fs::read_to_string(workspace.root.join(file))
                .map_err(|error| format!("{file}: {error}"))?;
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
    fn every_fuzz_target_has_a_body_under_the_stable_compiler() {
        let workspace = Workspace::find().unwrap();
        let all = targets(&workspace).unwrap();
        for krate in ["engineio-parser", "socketio-parser"] {
            let folder = workspace.root.join(krate).join("fuzz/fuzz_targets");
            for entry in fs::read_dir(folder).unwrap() {
                let file = entry.unwrap().file_name().into_string().unwrap();
                let name = file.strip_suffix(".rs").unwrap();
                assert!(
                    all.iter().any(|it| it.suite.package == krate && it.name == name),
                    "{krate} has no body for {name}"
                );
            }
        }
        for suite in &SUITES {
            assert!(all.iter().any(|target| target.suite.package == suite.package));
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
