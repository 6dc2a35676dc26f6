//! References in documents: every file and heading that a Markdown file links to exists, the guide's
//! table of contents and its tests name every chapter, the tests that SECURITY.md, the parity tables
//! and the front page of recovery name exist, and so do the files and functions that ARCHITECTURE.md
//! names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::Source;

const CHAPTERS: &str = "docs/guide/src/";
const CONTENTS: &str = "docs/guide/src/SUMMARY.md";
const TESTS: &str = "docs/guide/lib.rs";
const PARITY: &str = "docs/parity/";
const FROM_NODE: &str = "docs/guide/src/coming-from-node.md";
const SECURITY: &str = "SECURITY.md";
const MAP: &str = "ARCHITECTURE.md";
/// The module documentation that names the tests of its invariants.
const INVARIANTS: &str = "socketio-server/src/namespace/recovery/mod.rs";

pub(super) fn check(files: &[Source], root: &Path) -> Vec<String> {
    let documents: BTreeMap<&str, &str> = files
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    let exists = |path: &str| documents.contains_key(path) || root.join(path).exists();
    let mut found = Vec::new();
    for (path, text) in &documents {
        for (line, link) in
            prose(text).flat_map(|(at, line)| links(line).map(move |link| (at, link)))
        {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { (*path).to_owned() } else { beside(path, target) };
            if !exists(&target) {
                found.push(format!("{path}:{line}: `{link}` does not exist"));
            } else if !anchor.is_empty()
                && documents
                    .get(target.as_str())
                    .is_some_and(|text| !headings(text).contains(anchor))
            {
                found.push(format!("{path}:{line}: `{target}` has no heading `#{anchor}`"));
            }
        }
    }
    let text =
        |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| &file.text);
    for chapter in documents.keys().filter_map(|path| path.strip_prefix(CHAPTERS)) {
        for list in [CONTENTS, TESTS] {
            if chapter != "SUMMARY.md" && !text(list).contains(chapter) {
                found.push(format!("{list}: the chapter `{chapter}` is missing"));
            }
        }
    }
    let known = names(files);
    for (path, text) in documents
        .iter()
        .filter(|(path, _)| path.starts_with(PARITY) || [FROM_NODE, SECURITY].contains(*path))
    {
        for (line, code) in
            prose(text).flat_map(|(at, line)| code(line).map(move |code| (at, code)))
        {
            if code.contains('_') && code.chars().all(is_in_name) && !known.contains(code) {
                found.push(format!("{path}:{line}: nothing is named `{code}`"));
            }
        }
    }
    found.extend(lacking_tests(files, text(SECURITY)));
    for (at, line) in prose(text(MAP)) {
        found.extend(map_faults(files, line).iter().map(|fault| format!("{MAP}:{at}: {fault}")));
    }
    for file in files.iter().filter(|file| file.path == INVARIANTS) {
        for (index, line) in file.text.lines().enumerate() {
            for name in line.strip_prefix("//!").into_iter().flat_map(code) {
                let test = format!("fn {name}(");
                let is_test = name.matches('_').count() > 1 && name.chars().all(is_in_name);
                if is_test && !files.iter().any(|file| file.text.contains(&test)) {
                    found.push(format!("{INVARIANTS}:{}: no test is named `{name}`", index + 1));
                }
            }
        }
    }
    found
}

/// The names in the column "shown by" of a table in [`SECURITY`] that are neither a test function nor
/// a file of tests.
fn lacking_tests(files: &[Source], text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut names_tests = false;
    for (at, line) in prose(text) {
        let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            names_tests = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default();
        names_tests |= last.trim() == "shown by";
        let names = code(last).filter(|name| names_tests && name.chars().all(is_in_name));
        let lacking = names.filter(|name| !files.iter().any(|file| has_test(file, name)));
        found.extend(lacking.map(|name| format!("{SECURITY}:{at}: no test is named `{name}`")));
    }
    found
}

/// Whether the file is a file of tests with this name, or contains a test function with this name.
fn has_test(file: &Source, name: &str) -> bool {
    let is_file = file.path.contains("/tests/") && file.path.ends_with(&format!("/{name}.rs"));
    let function = format!("fn {name}(");
    let mut functions = file.text.match_indices(&function);
    // The attributes of the function are in the lines before it.
    is_file
        || functions.any(|(at, _)| {
            let before = file.text.get(..at).and_then(|text| text.rsplit_once('\n'));
            let lines = before.map_or("", |(lines, _)| lines).lines().rev().map(str::trim);
            let mut attributes = lines.take_while(|line| line.starts_with('#'));
            attributes.any(|line| line.contains("test"))
        })
}

/// The Rust files (`a/b.rs`) that a line names but that do not exist, and the functions (`name()` or
/// `Type::name()`) that the file before them in the line does not define.
fn map_faults(files: &[Source], line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut named: Vec<&Source> = Vec::new();
    for code in code(line) {
        if code.ends_with(".rs") {
            let end = format!("/{code}");
            let is_named = |file: &&Source| file.path == code || file.path.ends_with(&end);
            named = files.iter().filter(is_named).collect();
            if named.is_empty() {
                found.push(format!("no file is named `{code}`"));
            }
        } else if let Some(path) = code.strip_suffix("()") {
            let name = path.rsplit("::").next().unwrap_or(path);
            let forms = [format!("fn {name}("), format!("fn {name}<")];
            let defines = |file: &&Source| forms.iter().any(|form| file.text.contains(form));
            if !named.is_empty() && !named.iter().any(defines) {
                found.push(format!("`{code}` is not in the file named before it"));
            }
        }
    }
    found
}

/// The names in the sources: of files and of everything in them.
fn names(files: &[Source]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| !file.path.ends_with(".md")) {
        names.extend(file.path.split(['/', '.']));
        names.extend(file.text.split(|c| !is_in_name(c)));
    }
    names
}

/// Whether the character may be part of the name of a function or a file.
fn is_in_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// The code in a line of prose.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The lines outside of code blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The targets of a line's links, without those to other sites.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).filter(|target| !target.contains("://"))
}

/// The path of a link's target, relative to the root of the workspace.
fn beside(document: &str, target: &str) -> String {
    let mut parts: Vec<_> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        check(&files.iter().map(source).collect::<Vec<_>>(), Path::new("/nowhere"))
    }

    #[test]
    fn links_to_files_and_headings_that_exist_pass() {
        let files = [
            (
                "a/b.md",
                "# One\n[up](../c.md) [there](../c.md#two-words-a_b) [here](#one) [out](https://x/y)",
            ),
            ("c.md", "## Two words: `a_b`\n```text\n[code](gone.md)\n```"),
        ];
        assert_eq!(complaints(&files), Vec::<String>::new());
    }

    #[test]
    fn a_link_to_a_missing_file_or_heading_is_reported_with_its_line() {
        let found = complaints(&[("a.md", "# One\n[x](b.md) [y](#two)")]);
        assert_eq!(
            found,
            ["a.md:2: `b.md` does not exist", "a.md:2: `a.md` has no heading `#two`"]
        );
    }

    #[test]
    fn a_parity_table_that_names_a_missing_test_is_reported() {
        let table = "| `io.emit` | `an_event_arrives`, `acks_are_sent`, `a_lost_test`, `Max_x` |";
        let files =
            [("docs/parity/a.md", table), ("a/tests/an_event_arrives.rs", "fn acks_are_sent() {}")];
        assert_eq!(complaints(&files), ["docs/parity/a.md:1: nothing is named `a_lost_test`"]);
    }

    #[test]
    fn a_row_of_the_security_policy_that_names_no_test_is_reported() {
        let policy = "| limit | shown by |\n|---|---|\n\
            | `max_rooms` | `rooms_are_limited`, `a_file_of_tests` |\n\
            | x | `max_rooms`, `a_helper`, `cargo xtask test` |\n\n| `max_rooms` |";
        let tests = "#[tokio::test(start_paused = true)]\nasync fn rooms_are_limited() {}\n\
            fn a_helper() {}\nfn max_rooms() {}\n";
        let files = [(SECURITY, policy), ("a/tests/a_file_of_tests.rs", tests)];
        let expected = ["max_rooms", "a_helper"]
            .map(|name| format!("SECURITY.md:4: no test is named `{name}`"));
        assert_eq!(complaints(&files), expected);
    }

    #[test]
    fn a_missing_file_or_function_of_the_map_is_reported() {
        let map =
            "| reads | `a/src/b.rs`: `B::read()`, `write()`, `lost()` |\n`b.rs`, `c.rs` `x()`";
        let files = [(MAP, map), ("a/src/b.rs", "fn read(&self) {} fn write<T>() {}")];
        let expected = [
            "ARCHITECTURE.md:1: `lost()` is not in the file named before it",
            "ARCHITECTURE.md:2: no file is named `c.rs`",
        ];
        assert_eq!(complaints(&files), expected);
    }

    #[test]
    fn an_invariant_of_recovery_that_names_a_missing_test_is_reported() {
        let page = "//! `an_event_is_kept`, `a_test_is_lost`, `record_loss`";
        let files = [(INVARIANTS, page), ("a/tests/a.rs", "fn an_event_is_kept() {}")];
        let expected = format!("{INVARIANTS}:1: no test is named `a_test_is_lost`");
        assert_eq!(complaints(&files), [expected]);
    }

    #[test]
    fn a_chapter_that_the_guide_does_not_list_is_reported() {
        let found =
            complaints(&[(CONTENTS, ""), (TESTS, "src/new.md"), ("docs/guide/src/new.md", "")]);
        assert_eq!(found, ["docs/guide/src/SUMMARY.md: the chapter `new.md` is missing"]);
    }
}
