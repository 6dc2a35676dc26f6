//! Commands in documents: every package, program and subcommand that a Markdown file names exists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::source::Source;

pub(super) fn check(files: &[Source], metadata: &Value) -> Vec<String> {
    let targets = Targets::read(metadata);
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            let faults = commands(line).filter_map(|command| targets.fault(command));
            found.extend(faults.map(|fault| format!("{}:{}: {fault}", file.path, index + 1)));
        }
    }
    found
}

/// The cargo commands of a line, each up to the character that ends it in prose or in a shell.
fn commands(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("cargo ").map(|(at, _)| {
        let rest = &line[at..];
        let end = rest.find(['`', '|', '#', '&', ';', ')', ',']);
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// The packages and targets of the workspace.
struct Targets {
    packages: BTreeSet<String>,
    /// Pairs of a kind (`bin`, `example`, `test`) and a name.
    named: BTreeSet<(String, String)>,
}

impl Targets {
    fn read(metadata: &Value) -> Targets {
        let mut targets = Targets { packages: BTreeSet::new(), named: BTreeSet::new() };
        let list = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let name = |value: &Value| {
            value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let members = list(metadata, "workspace_members");
        for package in list(metadata, "packages") {
            if !package.get("id").is_some_and(|id| members.contains(id)) {
                continue;
            }
            targets.packages.insert(name(&package));
            for target in list(&package, "targets") {
                for kind in list(&target, "kind") {
                    let kind = kind.as_str().unwrap_or_default().to_owned();
                    targets.named.insert((kind, name(&target)));
                }
            }
        }
        targets
    }

    /// The complaint about a name in a command that does not exist.
    fn fault(&self, command: &str) -> Option<String> {
        let mut words = command.split_whitespace().skip(1);
        if words.clone().next() == Some("xtask") {
            return xtask_fault(words.skip(1));
        }
        while let Some(word) = words.next() {
            let kind = match word {
                "--" => return None,
                "-p" | "--package" => "package",
                "--example" => "example",
                "--bin" => "bin",
                "--test" => "test",
                _ => continue,
            };
            let Some(name) = words.next().filter(|name| is_literal(name)) else { continue };
            let exists = match kind {
                "package" => self.packages.contains(name),
                kind => self.named.contains(&(kind.to_owned(), name.to_owned())),
            };
            if !exists {
                return Some(format!("the workspace has no {kind} `{name}`"));
            }
        }
        None
    }
}

fn xtask_fault<'w>(mut words: impl Iterator<Item = &'w str>) -> Option<String> {
    let command = words.next().filter(|word| is_literal(word))?;
    if !crate::commands().any(|known| known == command) {
        return Some(format!("`cargo xtask` has no command `{command}`"));
    }
    let mut suites = words.take_while(|word| is_literal(word) || word.starts_with("--"));
    if command != "test" {
        return None;
    }
    let unknown =
        suites.find(|word| is_literal(word) && !crate::suites().any(|suite| suite == *word));
    unknown.map(|word| format!("`cargo xtask test` has no suite `{word}`"))
}

/// Whether the word is a name. Placeholders (`CRATE`, `[--port`, `…`) are not.
fn is_literal(word: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(lower)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let metadata = json!({
            "workspace_members": ["rigs 0.1.0"],
            "packages": [{
                "id": "rigs 0.1.0",
                "name": "rigs",
                "targets": [{ "kind": ["bin"], "name": "bench" }],
            }],
        });
        let file = Source { path: "README.md".to_owned(), text: text.to_owned() };
        check(&[file], &metadata)
    }

    #[test]
    fn commands_that_exist_pass() {
        let good = "`cargo build --release -p rigs --bin bench` | `cargo xtask test node` and \
            cargo run -p CRATE --example NAME -- --test gone, `cargo xtask fuzz [--minutes N]`";
        assert_eq!(faults(good), Vec::<String>::new());
        assert_eq!(faults("cargo xtask test    # runs every test"), Vec::<String>::new());
    }

    #[test]
    fn a_missing_program_is_reported_with_its_line() {
        let found = faults("first\n`cargo run -p rigs --bin gone`");
        assert_eq!(found, ["README.md:2: the workspace has no bin `gone`"]);
        assert_eq!(
            faults("cargo test -p gone"),
            ["README.md:1: the workspace has no package `gone`"]
        );
    }

    #[test]
    fn an_unknown_subcommand_or_suite_is_reported() {
        assert_eq!(
            faults("cargo xtask dmeo"),
            ["README.md:1: `cargo xtask` has no command `dmeo`"]
        );
        let suite = "README.md:1: `cargo xtask test` has no suite `nod`";
        assert_eq!(faults("`cargo xtask test --quick nod`"), [suite]);
    }
}
