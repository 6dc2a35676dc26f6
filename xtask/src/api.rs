//! `cargo xtask api`: compares the public items of the published crates with the lists in `xtask/api`,
//! so that a review shows each change of the API.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use public_api::{Builder, MINIMUM_NIGHTLY_RUST_VERSION};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// Calls rustdoc so that it accepts the unstable JSON output. Cargo must not see the variable, or it
/// would compile all dependencies again.
const RUSTDOC: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";
const JSON: &str = "-Z unstable-options --output-format json --cap-lints allow";

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let update = match args {
        [] => false,
        [flag] if flag == "--update" => true,
        _ => return Err("usage: cargo xtask api [--update]".to_owned()),
    };
    let changes = changes(workspace, update)?;
    for change in &changes {
        println!("{change}");
    }
    match changes.len() {
        0 => println!("api: no changes"),
        _ if update => println!("api: the lists are up to date"),
        count => return Err(format!("{count} changes; `cargo xtask api --update` accepts them")),
    }
    Ok(ExitCode::SUCCESS)
}

/// The differences between the public items and their lists, one line each. Writes the lists if
/// `update` is set.
pub(crate) fn changes(workspace: &Workspace, update: bool) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (package, json) in document(workspace)? {
        let api = Builder::from_rustdoc_json(&json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()
            .map_err(|error| {
                format!("{package}: {error} (needs the JSON of {MINIMUM_NIGHTLY_RUST_VERSION})")
            })?;
        let text: String = api.items().map(|item| format!("{item}\n")).collect();
        let list = workspace.root.join("xtask/api").join(format!("{package}.txt"));
        let listed = fs::read_to_string(&list).unwrap_or_default();
        found.extend(differences(&listed, &text).map(|line| format!("{package}: {line}")));
        if update {
            write(&list, &text)?;
        }
    }
    Ok(found)
}

/// Runs rustdoc for all published crates. Returns their names and the paths of the JSON files.
fn document(workspace: &Workspace) -> Result<Vec<(String, PathBuf)>, String> {
    let script = workspace.target("tools/rustdoc");
    write(&script, RUSTDOC)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&script, mode)
            .map_err(|error| format!("{}: {error}", script.display()))?;
    }
    let crates = published(&workspace.metadata);
    let mut cargo = workspace.cargo();
    cargo.env("RUSTDOC", &script).env("RUSTDOCFLAGS", JSON);
    cargo.args(["doc", "--no-deps", "--lib", "--all-features"]);
    process::run_ok(cargo.args(crates.iter().flat_map(|(package, _)| ["-p", package])))?;
    let path = |library| workspace.target("doc").join(format!("{library}.json"));
    Ok(crates.into_iter().map(|(package, library)| (package, path(library))).collect())
}

/// The names of the published packages and of their libraries.
fn published(metadata: &Value) -> Vec<(String, String)> {
    let list = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let name = |value: &Value| Some(value.get("name")?.as_str()?.to_owned());
    let members = list(metadata, "workspace_members");
    let library = |package: &Value| {
        let is_library = |target: &Value| list(target, "kind").contains(&Value::from("lib"));
        let target = list(package, "targets").into_iter().find(is_library)?;
        Some((name(package)?, name(&target)?))
    };
    list(metadata, "packages")
        .iter()
        .filter(|package| package.get("id").is_some_and(|id| members.contains(id)))
        .filter(|package| package.get("publish").is_none_or(Value::is_null))
        .filter_map(library)
        .collect()
}

/// The lines of one text that the other lacks.
fn differences(old: &str, new: &str) -> impl Iterator<Item = String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.lines().collect(), new.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}"));
    let come = new.difference(&old).map(|line| format!("+ {line}"));
    gone.chain(come).collect::<Vec<_>>().into_iter()
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_removed_and_added_lines() {
        let found: Vec<_> = differences("a\nb\n", "b\nc\n").collect();
        assert_eq!(found, ["- a", "+ c"]);
    }

    #[test]
    fn only_libraries_that_are_published_have_a_list() {
        let package = |name: &str, publish: Value, kind: &str| {
            let target = json!({ "name": name.replace('-', "_"), "kind": [kind] });
            json!({ "id": name, "name": name, "publish": publish, "targets": [target] })
        };
        let metadata = json!({
            "workspace_members": ["a-b", "rigs", "tool"],
            "packages": [
                package("a-b", Value::Null, "lib"),
                package("rigs", json!([]), "lib"),
                package("tool", Value::Null, "bin"),
                package("foreign", Value::Null, "lib"),
            ],
        });
        assert_eq!(published(&metadata), [("a-b".to_owned(), "a_b".to_owned())]);
    }
}
