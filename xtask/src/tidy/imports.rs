//! Rules for imports inside a crate: no circles between folders, and no import of a parser's machine
//! by its codec.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::Source;
use super::tokens::{is_word, tokens};

/// The machine of each parser crate. Only the crate's root and its fuzz bodies may import it.
const MACHINES: [(&str, &str); 2] =
    [("engineio-parser", "session"), ("socketio-parser", "connection")];
const MAY_IMPORT_MACHINE: [&str; 2] = ["lib.rs", "fuzzing.rs"];

/// Folders whose types contain each other: a socket its namespace and its client, a namespace its
/// sockets and their handlers, a handler the socket that it is called for.
const MUTUAL: [&str; 4] = ["client", "handlers", "namespace", "socket"];
const MUTUAL_IN: &str = "socketio-server/src/";

pub(super) fn check(files: &[Source]) -> Vec<String> {
    let crates: BTreeSet<_> =
        files.iter().filter(|file| file.is_module()).map(Source::krate).collect();
    crates.into_iter().flat_map(|krate| Crate::read(krate, files).check()).collect()
}

type Path = Vec<String>;

/// The modules of one crate that are files, by module path. The path of the crate's root is empty.
struct Crate<'s> {
    name: &'s str,
    modules: BTreeMap<Path, Module<'s>>,
}

struct Module<'s> {
    file: &'s str,
    uses: Vec<Use>,
    /// Identifiers outside `use`. A re-exported name in this set is also used by the module itself.
    words: BTreeSet<&'s str>,
}

/// A path that a module names, resolved from the crate's root.
struct Use {
    path: Path,
    /// The name under which `pub use` exports it. `*` for a glob.
    exported: Option<String>,
}

impl<'s> Crate<'s> {
    fn read(name: &'s str, files: &'s [Source]) -> Crate<'s> {
        let files: Vec<_> =
            files.iter().filter(|file| file.is_module() && file.krate() == name).collect();
        let paths: BTreeSet<_> = files.iter().map(|file| module_path(file)).collect();
        let modules = files.iter().map(|file| {
            let path = module_path(file);
            let (uses, words) = Reader::new(file, &path, &paths).read();
            (path, Module { file: &file.path, uses, words })
        });
        Crate { name, modules: modules.collect() }
    }

    fn check(&self) -> Vec<String> {
        let edges = self.edges();
        let mut found: Vec<_> = circles(&folders(&edges))
            .into_iter()
            .map(|circle| format!("import circle: {circle}"))
            .collect();
        for (_, machine) in MACHINES.iter().filter(|(krate, _)| *krate == self.name) {
            for (from, targets) in &edges {
                let above =
                    MAY_IMPORT_MACHINE.iter().any(|name| from.ends_with(&format!("/src/{name}")));
                let is_machine = |file: &str| {
                    let path = file.split_once("/src/").map_or("", |(_, path)| path);
                    path == format!("{machine}.rs") || path.starts_with(&format!("{machine}/"))
                };
                if !above && !is_machine(from) {
                    let bad = targets.iter().filter(|target| is_machine(target));
                    found.extend(bad.map(|target| {
                        format!("{from} is part of the codec but imports the machine: {target}")
                    }));
                }
            }
        }
        found
    }

    /// The imports of each file, as files.
    fn edges(&self) -> BTreeMap<&'s str, BTreeSet<&'s str>> {
        let mut edges: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let targets = edges.entry(module.file).or_default();
            for one in &module.uses {
                // A parent that only re-exports a name of its child does not use it.
                let only_exported =
                    one.exported.as_deref().is_some_and(|name| !module.words.contains(name));
                if only_exported && one.path.starts_with(path) {
                    continue;
                }
                if let Some(target) = self.resolve(&one.path, 0) {
                    targets.insert(target);
                }
            }
            targets.remove(module.file);
        }
        edges
    }

    /// The file that defines a path, followed through `pub use`.
    fn resolve(&self, path: &[String], depth: usize) -> Option<&'s str> {
        let length =
            (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let module = self.modules.get(&path[..length])?;
        let Some(name) = path.get(length) else {
            return Some(module.file);
        };
        let exports =
            |wanted: &str| module.uses.iter().find(|one| one.exported.as_deref() == Some(wanted));
        if let Some(export) = exports(name).filter(|_| depth < 8) {
            return self.resolve(&export.path, depth + 1);
        }
        // A name behind a glob may come from any module. A missing edge is better than a wrong one.
        if exports("*").is_some() { None } else { Some(module.file) }
    }
}

/// Collects the paths in the tokens of one file.
struct Reader<'s, 'c> {
    tokens: Vec<&'s str>,
    module: &'c Path,
    modules: &'c BTreeSet<Path>,
    /// The inline modules around the current token, each with the brace depth at which it ends.
    inline: Vec<(String, usize)>,
    uses: Vec<Use>,
    words: BTreeSet<&'s str>,
}

impl<'s, 'c> Reader<'s, 'c> {
    fn new(file: &'s Source, module: &'c Path, modules: &'c BTreeSet<Path>) -> Reader<'s, 'c> {
        let tokens = file.code_lines().flat_map(|(_, line)| tokens(line)).collect();
        Reader {
            tokens,
            module,
            modules,
            inline: Vec::new(),
            uses: Vec::new(),
            words: BTreeSet::new(),
        }
    }

    fn read(mut self) -> (Vec<Use>, BTreeSet<&'s str>) {
        let mut depth = 0;
        let mut at = 0;
        while at < self.tokens.len() {
            match self.token(at) {
                "{" => depth += 1,
                "}" => {
                    depth = usize::saturating_sub(depth, 1);
                    self.inline.pop_if(|(_, opened)| *opened == depth);
                }
                "mod" if self.token(at + 2) == "{" => {
                    self.inline.push((self.token(at + 1).to_owned(), depth))
                }
                "use" => {
                    let exported = at > 0 && matches!(self.token(at - 1), "pub" | ")");
                    at = self.tree(at + 1, &[], exported);
                    continue;
                }
                word if word.starts_with(is_word) => {
                    self.words.insert(word);
                    let starts = at == 0 || !matches!(self.token(at - 1), "::" | "in");
                    if starts && self.token(at + 1) == "::" {
                        at = self.tree(at, &[], false);
                        continue;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        (self.uses, self.words)
    }

    /// Reads a path or a tree of paths. Returns the position after it.
    fn tree(&mut self, mut at: usize, prefix: &[&'s str], exported: bool) -> usize {
        let mut path = prefix.to_vec();
        loop {
            match self.token(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.token(at), "}" | "") {
                        at = self.tree(at, &path, exported).max(at + 1);
                        at += usize::from(self.token(at) == ",");
                    }
                    return at + 1;
                }
                word if word == "*" || word.starts_with(is_word) => path.push(word),
                _ => break,
            }
            at += 1;
            if self.token(at) != "::" {
                break;
            }
            at += 1;
        }
        let mut name = path.last().copied().unwrap_or_default();
        if self.token(at) == "as" {
            name = self.token(at + 1);
            at += 2;
        }
        if let Some(path) = self.absolute(&path) {
            let exported = exported.then(|| name.to_owned());
            self.uses.push(Use { path, exported });
        }
        at
    }

    /// The path from the crate's root. `None` if the path leads out of the crate.
    fn absolute(&self, path: &[&str]) -> Option<Path> {
        let mut base = self.module.clone();
        base.extend(self.inline.iter().map(|(name, _)| name.clone()));
        let keywords = match path.first().copied()? {
            "crate" => {
                base.clear();
                1
            }
            "self" => 1,
            "super" => {
                let ups = path.iter().take_while(|name| **name == "super").count();
                base.truncate(base.len().saturating_sub(ups));
                ups
            }
            child => {
                let is_child = |known: &&Path| {
                    known.starts_with(&base)
                        && known.get(base.len()).is_some_and(|name| name == child)
                };
                self.modules.iter().find(is_child)?;
                0
            }
        };
        let names = path.iter().skip(keywords).filter(|name| !matches!(**name, "self" | "*"));
        base.extend(names.map(|name| (*name).to_owned()));
        Some(base)
    }

    fn token(&self, at: usize) -> &'s str {
        self.tokens.get(at).copied().unwrap_or("")
    }
}

/// The module path of a file. `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`; `src/lib.rs` is the
/// root.
fn module_path(file: &Source) -> Path {
    let path = file.path.split_once("/src/").map_or("", |(_, path)| path).trim_end_matches(".rs");
    let mut parts: Path = path.split('/').map(str::to_owned).collect();
    let root = parts.len() == 1 && matches!(path, "lib" | "main");
    parts.pop_if(|last| last == "mod" || root);
    parts
}

/// The imports between neighboring folders, each with the folders inside it. Imports between a
/// folder and a folder inside it do not count.
fn folders<'s>(
    edges: &BTreeMap<&'s str, BTreeSet<&'s str>>,
) -> BTreeMap<&'s str, BTreeSet<&'s str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (from, targets) in edges {
        let neighbors = targets.iter().filter_map(|to| neighbors(from, to));
        for (from, to) in neighbors.filter(|(from, to)| !(is_mutual(from) && is_mutual(to))) {
            found.entry(from).or_default().insert(to);
            found.entry(to).or_default();
        }
    }
    found
}

fn is_mutual(folder: &str) -> bool {
    folder.strip_prefix(MUTUAL_IN).is_some_and(|name| MUTUAL.contains(&name))
}

/// The folders around two files that lie beside each other in one folder.
fn neighbors<'s>(one: &'s str, other: &'s str) -> Option<(&'s str, &'s str)> {
    let same = one.split('/').zip(other.split('/')).take_while(|(one, other)| one == other);
    let start: usize = same.map(|(name, _)| name.len() + 1).sum();
    let folder = |path: &'s str| Some(&path[..start + path.get(start..)?.find('/')?]);
    Some((folder(one)?, folder(other)?))
}

/// The shortest circle through each folder, without duplicates.
fn circles(edges: &BTreeMap<&str, BTreeSet<&str>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for &start in edges.keys() {
        let Some(circle) = shortest_circle(edges, start) else {
            continue;
        };
        // Starts with the first name in order, so that all files of a circle report the same text.
        let first =
            circle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
        let mut names: Vec<_> =
            circle.iter().cycle().skip(first).take(circle.len() + 1).copied().collect();
        names.dedup();
        found.insert(names.join(" → "));
    }
    found
}

/// The shortest path of imports that begins at `start` and ends at a file that imports `start`.
fn shortest_circle<'s>(
    edges: &BTreeMap<&'s str, BTreeSet<&'s str>>,
    start: &'s str,
) -> Option<Vec<&'s str>> {
    let mut open = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop_front() {
        for &next in edges.get(path.last()?)? {
            if next == start {
                return Some(path);
            }
            if seen.insert(next) {
                open.push_back(path.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    fn complaints(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, text)| source(path, text)).collect();
        check(&files)
    }

    #[test]
    fn two_folders_that_import_each_other_are_refused() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a; mod b; pub use a::A;"),
            ("x/src/a/mod.rs", "use crate::b::B;"),
            ("x/src/b/mod.rs", "mod c;"),
            ("x/src/b/c.rs", "fn f() -> crate::a::A {}"),
        ]);
        assert_eq!(found, ["import circle: x/src/a → x/src/b → x/src/a"]);
    }

    #[test]
    fn a_folder_counts_with_the_folders_inside_it() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a; mod b;"),
            ("x/src/a/mod.rs", "pub mod c; pub struct A;"),
            ("x/src/a/c/mod.rs", "use crate::b::B;"),
            ("x/src/b/mod.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found, ["import circle: x/src/a → x/src/b → x/src/a"]);
    }

    #[test]
    fn files_of_one_folder_may_import_each_other() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a; mod b;"),
            ("x/src/a.rs", "use crate::b::B;"),
            ("x/src/b/mod.rs", "mod c; mod d; use crate::a::A;"),
            ("x/src/b/c.rs", "use super::d::D;"),
            ("x/src/b/d.rs", "use super::c::C;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_folder_and_a_folder_inside_it_may_import_each_other() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a;"),
            ("x/src/a/mod.rs", "mod b; use b::B; struct A;"),
            ("x/src/a/b/mod.rs", "use super::A;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_re_export_is_not_an_import() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a; mod b; pub use a::A; pub use b::{B, C as D};"),
            ("x/src/a/mod.rs", "use crate::{B, D};"),
            ("x/src/b/mod.rs", "use std::fmt; pub(in crate::a) struct B;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_circle_through_a_re_export_of_the_root_is_refused() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a; mod b; pub use a::A; pub use b::{B, C as D};"),
            ("x/src/a/mod.rs", "use crate::D;"),
            ("x/src/b/mod.rs", "use crate::A;"),
        ]);
        assert_eq!(found, ["import circle: x/src/a → x/src/b → x/src/a"]);
    }

    #[test]
    fn imports_of_tests_and_inline_modules_form_no_circle() {
        let found = complaints(&[
            ("x/src/lib.rs", "mod a; mod b;"),
            (
                "x/src/a/mod.rs",
                "mod sealed {\n use super::Local;\n}\n#[cfg(test)]\nmod tests {\n use crate::b::B;\n}\n",
            ),
            ("x/src/b/mod.rs", "use crate::a::{self, A}; fn f() { if x { } }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_codec_file_that_imports_the_machine_is_refused() {
        for line in [
            "use crate::session::Session;",
            "use super::{session, frame};",
            "fn f(s: &crate::Session) {}",
        ] {
            let found = complaints(&[
                (
                    "engineio-parser/src/lib.rs",
                    "pub mod packet; pub mod session; pub use session::Session;",
                ),
                ("engineio-parser/src/packet.rs", line),
                ("engineio-parser/src/session/mod.rs", "use crate::packet::Packet;"),
            ]);
            let codec = "engineio-parser/src/packet.rs is part of the codec but imports the machine: engineio-parser/src/session/mod.rs";
            assert!(found.iter().any(|complaint| complaint == codec), "{line}: {found:?}");
        }
    }

    #[test]
    fn the_root_and_the_fuzz_bodies_may_import_the_machine() {
        let found = complaints(&[
            ("socketio-parser/src/lib.rs", "use connection::Connection;"),
            ("socketio-parser/src/fuzzing.rs", "use crate::connection::Connection;"),
            ("socketio-parser/src/connection/mod.rs", "pub struct Connection;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }
}
