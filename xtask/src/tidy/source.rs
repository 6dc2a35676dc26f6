//! The text files of the project, and which of their lines are product code.

use std::fs;
use std::path::Path;

/// Folders with foreign files or generated data.
const SKIPPED: [&str; 6] = [".git", "target", "node_modules", "artifacts", "corpus", "coverage"];
const CRATES: [&str; 7] = [
    "engineio-parser/",
    "socketio-parser/",
    "socketio-core/",
    "engineio-server/",
    "socketio-server/",
    "socketio-client/",
    "adapters/",
];

/// One text file.
pub(super) struct Source {
    /// Relative to the root of the workspace, with `/` as separator.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether this is a file of a `src` folder that contains more than tests, and models of threads
    /// in a published crate.
    pub(super) fn is_module(&self) -> bool {
        let is_in = |name: &str| {
            self.path.ends_with(&format!("/{name}.rs")) || self.path.contains(&format!("/{name}/"))
        };
        self.is_rust()
            && self.path.contains("/src/")
            && !is_in("tests")
            && !(is_in("models") && self.is_published())
    }

    /// Whether this is a module of a published crate.
    pub(super) fn is_product(&self) -> bool {
        self.is_module() && self.is_published()
    }

    fn is_published(&self) -> bool {
        CRATES.iter().any(|krate| self.path.starts_with(krate))
    }

    /// The folder of the crate, such as `adapters/core`.
    pub(super) fn krate(&self) -> &str {
        self.path.split_once("/src/").map_or("", |(krate, _)| krate)
    }

    /// The lines outside of tests and comments, numbered from 1.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let code = numbered.take(self.lines_before_tests());
        code.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
    }

    /// The number of lines before the test module at the end of the file. `#[cfg(test)]` on any
    /// other item does not count.
    fn lines_before_tests(&self) -> usize {
        let lines: Vec<_> = self.text.lines().map(str::trim).collect();
        let opens = |(at, line): (usize, &&str)| {
            let item = lines.iter().skip(at + 1).find(|line| !line.starts_with("#["));
            let item = line
                .strip_prefix("#[cfg(test)] ")
                .or_else(|| item.copied().filter(|_| *line == "#[cfg(test)]"));
            item.is_some_and(|item| item.starts_with("mod ") && !item.ends_with(';')).then_some(at)
        };
        lines.iter().enumerate().find_map(opens).unwrap_or(lines.len())
    }
}

/// All text files of the workspace.
pub(super) fn load(root: &Path) -> Result<Vec<Source>, String> {
    let mut files = Vec::new();
    walk(root, "", &mut files).map_err(|error| format!("cannot read the source tree: {error}"))?;
    files.sort_by(|one: &Source, other| one.path.cmp(&other.path));
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<Source>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            files.push(Source { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_the_test_module_are_not_code() {
        let file = source(
            "x/src/lib.rs",
            "//! x\n\nuse a;\n  // why\nfn b() {}\n#[cfg(test)]\nmod tests {\n    c();\n}\n",
        );
        assert_eq!(file.code_lines().collect::<Vec<_>>(), [(3, "use a;"), (5, "fn b() {}")]);
    }

    #[test]
    fn a_test_only_import_hides_nothing_below_it() {
        let file = source("x/src/lib.rs", "#[cfg(test)]\nuse a;\nfn b() {}\n");
        assert_eq!(file.code_lines().count(), 3);
    }

    #[test]
    fn only_library_files_of_the_crates_are_the_product() {
        assert!(source("engineio-parser/src/packet.rs", "").is_product());
        assert!(source("adapters/core/src/lib.rs", "").is_product());
        assert!(!source("engineio-parser/tests/pair.rs", "").is_product());
        assert!(!source("xtask/src/main.rs", "").is_product());
        assert_eq!(source("adapters/core/src/a/b.rs", "").krate(), "adapters/core");
    }
}
