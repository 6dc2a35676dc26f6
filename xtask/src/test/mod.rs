//! `cargo xtask test`: runs all checks and tests of the project, one named step at a time.

mod counts;
mod install;
mod interop;
mod minimal;
mod outcome;
pub(crate) mod python;
mod readme;
mod suites;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use outcome::{Outcome, Suite};

use crate::workspace::Workspace;

/// Runs the chosen suites. The last line of the output is `N passed, M failed`: each test counts as
/// one, and so does each step without tests of its own.
pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let chosen = choose(args)?;
    let mut steps = Vec::new();
    for suite in chosen {
        println!("\n── {}: {}", suite.name, suite.about);
        let started = Instant::now();
        let outcome = (suite.run)(workspace).unwrap_or_else(Outcome::broken);
        let step = Step { name: suite.name, took: started.elapsed(), outcome };
        println!("{}", step.line());
        steps.push(step);
    }
    println!("\n── summary");
    for step in &steps {
        println!("{}", step.line());
    }
    let passed: u64 = steps.iter().map(|step| step.outcome.passed).sum();
    let failed: u64 = steps.iter().map(|step| step.outcome.failed).sum();
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Step {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

impl Step {
    fn line(&self) -> String {
        let Outcome { passed, failed, notes } = &self.outcome;
        let verdict = match (passed, failed) {
            (0, 0) => "--".to_owned(),
            (1, 0) => "ok".to_owned(),
            (_, 0) => format!("ok, {passed} passed"),
            _ => format!("FAILED, {passed} passed, {failed} failed"),
        };
        let mut line = format!("{:<9}{verdict} ({:.1} s)", self.name, self.took.as_secs_f64());
        for note in notes {
            for text in note.lines() {
                line.push_str("\n         ");
                line.push_str(text);
            }
        }
        line
    }
}

fn choose(args: &[String]) -> Result<Vec<&'static Suite>, String> {
    let quick = args.iter().any(|arg| arg == "--quick");
    let wanted: Vec<_> = args.iter().filter(|arg| *arg != "--quick").collect();
    for name in &wanted {
        match suites::ALL.iter().find(|suite| suite.name == name.as_str()) {
            Some(suite) if quick && !suite.quick => {
                return Err(format!("the suite `{name}` does not run with --quick"));
            }
            Some(_) => {}
            None => {
                let names: Vec<_> = suites::ALL.iter().map(|suite| suite.name).collect();
                return Err(format!("unknown suite `{name}`; the suites are: {}", names.join(" ")));
            }
        }
    }
    let is_wanted = |suite: &&Suite| {
        (!quick || suite.quick)
            && (wanted.is_empty() || wanted.iter().any(|name| *name == suite.name))
    };
    Ok(suites::ALL.iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Result<Vec<&'static str>, String> {
        let args: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(choose(&args)?.iter().map(|suite| suite.name).collect())
    }

    #[test]
    fn suites_run_in_a_fixed_order() {
        let all = [
            "fmt", "clippy", "features", "tidy", "engines", "tests", "models", "docs", "api",
            "deny", "readme", "wasm", "minimal", "rigs", "node", "client", "cluster", "python",
            "soak", "browser",
        ];
        assert_eq!(names(&[]).unwrap(), all);
        assert_eq!(names(&["node", "fmt"]).unwrap(), ["fmt", "node"]);
    }

    #[test]
    fn quick_skips_the_slow_suites() {
        assert_eq!(names(&["--quick"]).unwrap(), ["fmt", "clippy", "tidy", "engines", "tests"]);
    }

    #[test]
    fn a_slow_suite_is_refused_with_quick() {
        assert!(names(&["--quick", "node"]).unwrap_err().contains("`node`"));
        assert_eq!(names(&["--quick", "tidy"]).unwrap(), ["tidy"]);
    }

    #[test]
    fn the_usage_lists_all_suites() {
        let listed: Vec<_> = crate::suites().collect();
        assert_eq!(listed, names(&[]).unwrap());
    }

    #[test]
    fn an_unknown_suite_is_refused() {
        assert!(names(&["interopp"]).unwrap_err().contains("`interopp`"));
    }

    #[test]
    fn the_line_of_a_failed_step_gives_the_reason() {
        let step = Step {
            name: "node",
            took: Duration::ZERO,
            outcome: Outcome::broken("install it".to_owned()),
        };
        let line = step.line();
        assert!(line.contains("FAILED") && line.ends_with("install it"), "{line}");
    }
}
