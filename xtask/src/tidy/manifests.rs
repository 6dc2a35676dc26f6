//! Rules for manifests: the allowed dependencies between crates, and the workspace's lints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::workspace::Workspace;

/// Crates without I/O.
const PURE: [&str; 4] = ["engineio-parser", "socketio-parser", "socketio-core", "socketio-adapter"];
/// Packages that do I/O, run tasks or draw randomness. A trailing `*` matches any ending.
const NOT_IN_PURE: [&str; 7] =
    ["tokio*", "hyper*", "futures*", "rand*", "getrandom", "fastrand", "mio"];
/// The document with the reasons of all dependencies.
const MAP: &str = "ARCHITECTURE.md";
const SERVERS: [&str; 2] = ["engineio-server", "socketio-server"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>, String> {
    let manifest = workspace.root.join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).map_err(|error| format!("Cargo.toml: {error}"))?;
    let mut found = Vec::new();
    if !section(&manifest, "[workspace.lints.rust]").any(|line| line == "unsafe_code = \"forbid\"")
    {
        found.push("Cargo.toml: [workspace.lints.rust] lacks unsafe_code = \"forbid\"".to_owned());
    }
    let graph = Graph::read(&workspace.metadata);
    for (name, path) in &graph.members {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        if !section(&text, "[lints]").any(|line| line == "workspace = true") {
            found.push(format!("{name}: its Cargo.toml does not inherit the workspace's lints"));
        }
    }
    found.extend(graph.check(&workspace.root));
    let published = list(&workspace.metadata, "packages").filter(|package| {
        graph.members.contains_key(text(package, "name"))
            && package.get("publish").is_some_and(Value::is_null)
    });
    let published: Vec<_> = published.collect();
    found.extend(published.iter().copied().flat_map(unpublishable));
    let map = workspace.root.join(MAP);
    let map = fs::read_to_string(map).map_err(|error| format!("{MAP}: {error}"))?;
    let external = published.iter().flat_map(|package| external_dependencies(package));
    found.extend(without_reason(&map, &external.collect()));
    Ok(found)
}

/// The names of a package's normal dependencies that are not in this workspace.
fn external_dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let is_external = |dependency: &&Value| {
        let field = |name| dependency.get(name).is_none_or(Value::is_null);
        field("kind") && field("path")
    };
    list(package, "dependencies").filter(is_external).map(|dependency| text(dependency, "name"))
}

/// The dependencies for which the section of ARCHITECTURE.md gives no reason, and the names in this
/// section that are no longer dependencies.
fn without_reason(map: &str, dependencies: &BTreeSet<&str>) -> Vec<String> {
    let lines = map.lines().skip_while(|line| *line != "## Dependencies").skip(1);
    let rows =
        lines.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let named: BTreeSet<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let missing = dependencies.difference(&named);
    let missing = missing.map(|name| format!("{MAP}: the dependency `{name}` has no reason"));
    let stale = named.difference(dependencies);
    missing.chain(stale.map(|name| format!("{MAP}: `{name}` is not a dependency"))).collect()
}

/// The metadata that a published package lacks.
fn unpublishable(package: &Value) -> Vec<String> {
    let fields = [
        "description",
        "documentation",
        "keywords",
        "categories",
        "license",
        "readme",
        "rust_version",
    ];
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let fields = fields.into_iter().filter(|field| package.get(field).is_none_or(is_empty));
    let folder = Path::new(text(package, "manifest_path")).parent();
    let files = ["LICENSE-MIT", "LICENSE-APACHE"]
        .into_iter()
        .filter(|file| !folder.is_some_and(|folder| folder.join(file).is_file()));
    let name = text(package, "name");
    fields
        .chain(files)
        .map(|lacks| format!("{name}: a published package needs `{lacks}`"))
        .collect()
}

/// The lines of one section of a manifest.
fn section<'t>(manifest: &'t str, header: &'t str) -> impl Iterator<Item = &'t str> {
    let lines = manifest.lines().map(str::trim).skip_while(move |line| *line != header).skip(1);
    lines.take_while(|line| !line.starts_with('['))
}

/// The dependencies between packages, without those of tests.
#[derive(Default)]
struct Graph {
    /// The packages of the workspace, with the paths of their manifests.
    members: BTreeMap<String, String>,
    /// Names by package id.
    names: BTreeMap<String, String>,
    /// Normal dependencies by package id.
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Graph {
        let mut graph = Graph::default();
        let members: BTreeSet<_> =
            list(metadata, "workspace_members").filter_map(Value::as_str).collect();
        for package in list(metadata, "packages") {
            let (id, name) = (text(package, "id"), text(package, "name"));
            if members.contains(id) {
                graph.members.insert(name.to_owned(), text(package, "manifest_path").to_owned());
            }
            graph.names.insert(id.to_owned(), name.to_owned());
        }
        for node in metadata.get("resolve").into_iter().flat_map(|resolve| list(resolve, "nodes")) {
            let is_normal = |dep: &&Value| {
                list(dep, "dep_kinds").any(|kind| kind.get("kind").is_none_or(Value::is_null))
            };
            let deps = list(node, "deps").filter(is_normal).map(|dep| text(dep, "pkg").to_owned());
            graph.edges.insert(text(node, "id").to_owned(), deps.collect());
        }
        graph
    }

    fn check(&self, root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for (name, manifest) in &self.members {
            let dependencies = self.dependencies(name);
            let mut refuse = |patterns: &[&str], why: &str| {
                for (dependency, path) in &dependencies {
                    if patterns.iter().any(|pattern| fits(dependency, pattern)) {
                        found.push(format!(
                            "{name} must not depend on {dependency}, because {why}: {path}"
                        ));
                    }
                }
            };
            if PURE.contains(&name.as_str()) {
                refuse(&NOT_IN_PURE, "it does no I/O");
            }
            if name == "engineio-parser" {
                refuse(&["socketio-*"], "dependencies point down");
            }
            if name == "engineio-server" {
                refuse(&["socketio-*"], "dependencies point down");
            }
            if name == "socketio-async-client" {
                refuse(&SERVERS, "the client depends on no server");
            }
            if Path::new(manifest).starts_with(root.join("adapters")) {
                refuse(&["socketio-server", "engineio-server"], "a back-end depends on no server");
            }
            if name != "xtask" {
                refuse(&["xtask"], "the product depends on no tool");
            }
        }
        found
    }

    /// All direct and indirect dependencies of a package by name, each with the path to it.
    fn dependencies(&self, name: &str) -> BTreeMap<&str, String> {
        let start = self
            .names
            .iter()
            .filter(|(_, other)| *other == name)
            .map(|(id, _)| (id.as_str(), name.to_owned()));
        let mut open: Vec<_> = start.collect();
        let mut seen = BTreeMap::new();
        while let Some((id, path)) = open.pop() {
            for next in self.edges.get(id).into_iter().flatten() {
                let Some(name) = self.names.get(next) else {
                    continue;
                };
                if !seen.contains_key(name.as_str()) {
                    let path = format!("{path} → {name}");
                    seen.insert(name.as_str(), path.clone());
                    open.push((next, path));
                }
            }
        }
        seen
    }
}

fn fits(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Complaints about a workspace with the members `(name, folder)` and the edges `(from, to,
    /// kind)`.
    fn complaints(members: &[(&str, &str)], edges: &[(&str, &str, Value)]) -> Vec<String> {
        let mut names: BTreeSet<_> = members.iter().map(|(name, _)| *name).collect();
        names.extend(edges.iter().map(|(_, to, _)| *to));
        let packages = names.iter().map(|name| {
            let folder = members
                .iter()
                .find(|(member, _)| member == name)
                .map_or("elsewhere", |(_, folder)| folder);
            json!({ "id": name, "name": name, "manifest_path": format!("/w/{folder}/Cargo.toml") })
        });
        let packages: Vec<_> = packages.collect();
        let nodes: Vec<_> = names
            .iter()
            .map(|name| {
                let deps = edges.iter().filter(|(from, _, _)| from == name);
                let deps: Vec<_> = deps
                    .map(|(_, to, kind)| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] }))
                    .collect();
                json!({ "id": name, "deps": deps })
            })
            .collect();
        let members: Vec<_> = members.iter().map(|(name, _)| name).collect();
        let metadata = json!({ "workspace_members": members, "packages": packages, "resolve": { "nodes": nodes } });
        Graph::read(&metadata).check(Path::new("/w"))
    }

    #[test]
    fn an_indirect_dependency_of_a_parser_on_a_runtime_is_refused() {
        let edges =
            [("socketio-parser", "handy", Value::Null), ("handy", "tokio-util", Value::Null)];
        let found = complaints(&[("socketio-parser", "socketio-parser")], &edges);
        assert_eq!(
            found,
            ["socketio-parser must not depend on tokio-util, because it does no I/O: \
                            socketio-parser → handy → tokio-util"]
        );
    }

    #[test]
    fn the_tests_of_a_parser_may_have_any_dependency() {
        let edges =
            [("engineio-parser", "proptest", json!("dev")), ("proptest", "rand", Value::Null)];
        assert_eq!(
            complaints(&[("engineio-parser", "engineio-parser")], &edges),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_client_or_adapter_that_depends_on_a_server_is_refused() {
        let members =
            [("socketio-async-client", "socketio-client"), ("socketio-redis", "adapters/redis")];
        let edges = [
            ("socketio-async-client", "engineio-server", Value::Null),
            ("socketio-redis", "socketio-server", Value::Null),
        ];
        assert_eq!(complaints(&members, &edges).len(), 2);
    }

    #[test]
    fn a_published_package_without_keywords_or_license_files_is_refused() {
        let package = json!({
            "name": "parser", "manifest_path": "/nowhere/Cargo.toml", "description": "…",
            "documentation": "…", "categories": ["…"], "license": "MIT", "readme": "README.md",
            "rust_version": "1.88", "keywords": [],
        });
        let lacks = ["keywords", "LICENSE-MIT", "LICENSE-APACHE"];
        let expected = lacks.map(|lacks| format!("parser: a published package needs `{lacks}`"));
        assert_eq!(unpublishable(&package), expected);
    }

    #[test]
    fn a_dependency_needs_a_reason() {
        let map = "| `other` |\n## Dependencies\n| `a`, `b` | because of `c` |\n## Where\n| `d` |";
        let found = without_reason(map, &BTreeSet::from(["a", "c", "d"]));
        let expected = [
            "ARCHITECTURE.md: the dependency `c` has no reason",
            "ARCHITECTURE.md: the dependency `d` has no reason",
            "ARCHITECTURE.md: `b` is not a dependency",
        ];
        assert_eq!(found, expected);
        let package = json!({ "dependencies": [
            { "name": "a", "kind": null }, { "name": "b", "kind": "dev" },
            { "name": "c", "kind": null, "path": "/w/c" },
        ] });
        assert_eq!(external_dependencies(&package).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_manifest_section_ends_at_the_next_header() {
        let manifest = "[lints]\n\n[features]\nworkspace = true\n";
        assert!(!section(manifest, "[lints]").any(|line| line == "workspace = true"));
        assert!(
            section("[lints]\nworkspace = true\n", "[lints]")
                .any(|line| line == "workspace = true")
        );
    }
}
