//! Suites and their outcomes.

use crate::workspace::Workspace;

/// One kind of check or test.
pub(super) struct Suite {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Whether `--quick` includes this suite.
    pub(super) quick: bool,
    pub(super) run: fn(&Workspace) -> Result<Outcome, String>,
}

/// The result of a suite.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// The names and messages of the failed tests, or the reason why the step was not run.
    pub(super) notes: Vec<String>,
}

impl Outcome {
    /// The outcome of a successful step without tests of its own.
    pub(super) fn good() -> Outcome {
        Outcome { passed: 1, ..Outcome::default() }
    }

    pub(super) fn broken(why: String) -> Outcome {
        Outcome { failed: 1, notes: vec![why], ..Outcome::default() }
    }

    pub(super) fn add(&mut self, other: Outcome) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.notes.extend(other.notes);
    }

    pub(super) fn not_run(why: &str) -> Outcome {
        Outcome { notes: vec![format!("not run: {why}")], ..Outcome::default() }
    }
}
