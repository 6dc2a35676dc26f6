//! Test counts and the messages of failed tests, parsed from the reports of the test runners.

use super::outcome::Outcome;

/// The maximum number of lines of a failed test's message in the summary.
const MAX_LINES: usize = 30;
/// The line of a panic message with which its backtrace begins.
const BACKTRACE: &str = "stack backtrace:";

/// Adds up the `test result:` lines of libtest. Each test binary prints one.
#[derive(Default)]
pub(super) struct Libtest {
    passed: u64,
    failed: u64,
    /// The names of the failed tests. Their output follows the name, once it has been printed.
    names: Vec<String>,
    /// The index of the test whose output is being read.
    reading: Option<usize>,
}

impl Libtest {
    pub(super) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.names.push(name.to_owned());
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.reading = self.names.iter().rposition(|known| known == name);
        } else if line == "failures:" || line == BACKTRACE {
            self.reading = None;
        } else if let Some(text) = self.reading.and_then(|index| self.names.get_mut(index)) {
            append(text, line);
        }
    }

    /// The outcome of the run. `otherwise` is the note for a failed run without a failed test: a
    /// compile error, an aborted test, or no test at all.
    pub(super) fn outcome(self, success: bool, otherwise: &str) -> Outcome {
        let success = success && self.passed > 0;
        conclude(self.passed, self.failed, self.names, success, otherwise)
    }
}

/// Adds up a report of nextest in JUnit's format, in which each element has a line of its own.
pub(super) fn junit(report: &str, success: bool, otherwise: &str) -> Outcome {
    let attribute = |line: &str, name: &str| {
        let value = line.split_once(&format!(" {name}=\""))?.1;
        Some(value.split_once('"')?.0.to_owned())
    };
    let (mut tests, mut names) = (0, Vec::<String>::new());
    let mut name = None;
    let mut reading = false;
    for line in report.lines() {
        let element = line.trim_start();
        if reading {
            let (text, ends) =
                line.split_once("</").map_or((line, false), |(text, _)| (text, true));
            reading = !ends && text != BACKTRACE;
            if let Some(message) = names.last_mut().filter(|_| text != BACKTRACE) {
                append(message, &unescaped(text));
            }
        } else if element.starts_with("<testcase ") {
            tests += 1;
            name = attribute(element, "classname").zip(attribute(element, "name"));
        } else if element.starts_with("<failure") || element.starts_with("<error") {
            let Some((program, name)) = name.take() else { continue };
            let mut message = format!("{program} {name}");
            if let Some((_, text)) = element.split_once('>') {
                let (text, ends) =
                    text.split_once("</").map_or((text, false), |(text, _)| (text, true));
                append(&mut message, &unescaped(text));
                reading = !ends && !element.ends_with("/>");
            }
            names.push(message);
        }
    }
    let failed = names.len() as u64;
    conclude(tests - failed, failed, names, success && tests > 0, otherwise)
}

/// Adds up a report of `node --test` in the Test Anything Protocol.
pub(super) fn tap(report: &str, success: bool, otherwise: &str) -> Outcome {
    let summary = |key: &str| -> u64 {
        let prefix = format!("# {key} ");
        let value = report.lines().rev().find_map(|line| line.strip_prefix(&prefix));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    let mut names: Vec<String> = Vec::new();
    // Whether the name of the last failure still waits for its reason.
    let mut waiting = false;
    // The indentation of the key whose value of several lines is being read.
    let mut reading = None;
    for raw in report.lines() {
        let line = raw.trim();
        let indentation = raw.len() - raw.trim_start().len();
        if reading.is_some_and(|key| line.is_empty() || indentation > key) {
            names.last_mut().into_iter().for_each(|message| append(message, line));
            continue;
        }
        reading = None;
        if let Some((_, name)) =
            line.strip_prefix("not ok ").and_then(|rest| rest.split_once(" - "))
        {
            names.push(name.to_owned());
            waiting = true;
        } else if line == "failureType: 'subtestsFailed'" {
            // The group failed because of a test inside it, which is already in the list.
            names.pop();
            waiting = false;
        } else if let Some(reason) = line.strip_prefix("error: ").filter(|_| waiting) {
            if reason == "|-" {
                reading = Some(indentation);
            } else if let Some(name) = names.last_mut() {
                *name = format!("{name}: {}", reason.trim_matches('\''));
            }
            waiting = false;
        }
    }
    let (passed, failed) = (summary("pass"), summary("fail") + summary("cancelled"));
    // Node reports what went wrong between tests, or after their end, as a comment.
    let mut otherwise = otherwise.to_owned();
    for line in report.lines().filter(|line| line.starts_with("# Error: ")) {
        append(&mut otherwise, line.trim_start_matches("# "));
    }
    conclude(passed, failed, names, success && passed > 0, &otherwise)
}

/// Appends a line to a failed test's message, unless the message is long enough.
fn append(message: &mut String, line: &str) {
    if !line.trim().is_empty() && message.lines().count() <= MAX_LINES {
        message.push('\n');
        message.push_str(line);
    }
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}

fn conclude(
    passed: u64,
    mut failed: u64,
    names: Vec<String>,
    success: bool,
    otherwise: &str,
) -> Outcome {
    let mut notes: Vec<_> = names.into_iter().map(|name| format!("failed: {name}")).collect();
    if !success && failed == 0 {
        failed = 1;
        notes.push(otherwise.to_owned());
    }
    Outcome { passed, failed, notes }
}

fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else {
        return 0;
    };
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_libtest_binaries_are_added_up() {
        let mut counts = Libtest::default();
        for line in [
            "test packet::tests::round_trip ... ok",
            "test rooms::join ... FAILED",
            "failures:",
            "",
            "---- rooms::join stdout ----",
            "",
            "thread 'rooms::join' panicked at src/rooms.rs:7:9:",
            "assertion `left == right` failed",
            "stack backtrace:",
            "   0: std::panicking::begin_panic_handler",
            "failures:",
            "    rooms::join",
            "test result: FAILED. 11 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: ok. 30 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ] {
            counts.read(line);
        }
        let outcome = counts.outcome(false, "unused");
        assert_eq!((outcome.passed, outcome.failed), (41, 1));
        assert_eq!(
            outcome.notes,
            ["failed: rooms::join\nthread 'rooms::join' panicked at src/rooms.rs:7:9:\n\
              assertion `left == right` failed"]
        );
    }

    #[test]
    fn a_run_that_fails_without_a_failed_test_still_counts_as_failed() {
        let outcome = Libtest::default().outcome(false, "did not compile");
        assert_eq!(
            outcome,
            Outcome { passed: 0, failed: 1, notes: vec!["did not compile".to_owned()] }
        );
    }

    #[test]
    fn the_counts_of_a_tap_report_come_from_its_summary() {
        let report = "TAP version 13\n# Subtest: a\n    not ok 1 - 'acks' come back\n      ---\n\
                      error: 'no answer'\n      not ok 1 - a\n  ---\n  failureType: 'subtestsFailed'\n\
                      error: '1 subtest failed'\n  ...\n1..1\n\
                      # tests 4\n# suites 0\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 0\n";
        let outcome = tap(report, false, "unused");
        assert_eq!((outcome.passed, outcome.failed), (2, 2));
        assert_eq!(outcome.notes, ["failed: 'acks' come back: no answer"]);
    }

    #[test]
    fn a_reason_of_several_lines_is_read_to_its_end() {
        let report = "not ok 1 - acks come back\n  ---\n  error: |-\n    Expected values:\n\n\
                      \u{20}   1 !== 2\n  code: 'ERR_ASSERTION'\n  ...\n# pass 1\n# fail 1\n";
        let outcome = tap(report, false, "unused");
        assert_eq!(outcome.notes, ["failed: acks come back\nExpected values:\n1 !== 2"]);
    }

    #[test]
    fn each_test_of_a_junit_report_counts_once() {
        let report = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="x" timestamp="y" time="1.0">
    <testsuite name="a::b" tests="3" disabled="0" errors="0" failures="1">
        <testcase name="rooms::join" classname="a::b" timestamp="y" time="0.020">
        </testcase>
        <testcase name="rooms::leave" classname="a::b" timestamp="y" time="0.020">
            <failure type="test failure with exit code 101">thread &apos;x&apos; panicked:
left: &lt;testcase name="c"
stack backtrace:
   0: std::panicking::begin_panic_handler</failure>
            <system-out>left: &lt;failure&gt;</system-out>
        </testcase>
        <testcase name="rooms::list" classname="a::b" timestamp="y" time="0.020"/>
    </testsuite>
</testsuites>"#;
        let outcome = junit(report, false, "unused");
        assert_eq!((outcome.passed, outcome.failed), (2, 1));
        assert_eq!(
            outcome.notes,
            ["failed: a::b rooms::leave\nthread 'x' panicked:\nleft: <testcase name=\"c\""]
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let lines = "x\n".repeat(100);
        let report = format!(
            "<testcase name=\"n\" classname=\"c\">\n<failure type=\"t\">{lines}</failure>\n</testcase>"
        );
        let outcome = junit(&report, false, "unused");
        assert_eq!(outcome.notes.first().map(|note| note.lines().count()), Some(MAX_LINES + 1));
    }

    #[test]
    fn an_empty_report_is_a_failure() {
        assert_eq!(junit("", true, "nothing ran").notes, ["nothing ran"]);
        assert_eq!(tap("", true, "nothing ran").failed, 1);
        let late = "ok 1 - a\n# Error: late\n# tests 1\n# pass 1\n# fail 0\n";
        assert_eq!(tap(late, false, "failed outside").notes, ["failed outside\nError: late"]);
        assert_eq!(tap("# pass 0\n# fail 0\n", true, "nothing ran").notes, ["nothing ran"]);
    }
}
