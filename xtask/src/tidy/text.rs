//! Rules for single lines of text.

use std::path::Path;

use super::source::Source;

const MAX_CODE_LINES: usize = 500;
/// Of code and comments. A front page (`mod.rs`, `lib.rs`, `main.rs`) may be shorter.
const MIN_LINES: usize = 30;
const FRONT_PAGES: [&str; 3] = ["/mod.rs", "/lib.rs", "/main.rs"];
/// The helpers for locks, and modules in whose place another one is compiled.
const SHORT_MODULES: [&str; 2] = ["/src/sync.rs", "/no_deflate.rs"];
/// Clippy refuses the other panics. Its lints for these macros cannot exempt tests.
const PANICS: [&str; 2] = ["unreachable!(", "unimplemented!("];
/// Forbidden in crates without I/O. Clippy refuses clocks, threads and output.
const IMPURE: [&str; 4] = ["std::fs", "std::net", "std::process", "tokio::"];
/// Public types of the server must have no type parameters.
const GENERIC: [&str; 4] =
    ["pub struct Socket<", "pub struct Server<", "pub struct Namespace<", "pub struct Broadcast<"];
const UNSAFE: [&str; 3] = ["unsafe {", "unsafe fn ", "unsafe impl "];
/// The package that calls a C++ library. Only fuzzing compiles it.
const FOREIGN: &str = "interop/libfuzzer/";
const PURE: [&str; 4] = ["engineio-parser", "socketio-parser", "socketio-core", "adapters/core"];

/// Complaints about lines. `machine_paths` are path prefixes that exist only on this machine.
pub(super) fn check(files: &[Source], machine_paths: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        if file.is_rust() {
            found.extend(wrong_length(file));
            if !file.path.starts_with(FOREIGN) {
                found.extend(lines_with(file, &UNSAFE, "unsafe code"));
            }
        }
        if file.krate() == "socketio-server" {
            found.extend(lines_with(file, &GENERIC, "users' types have no parameters"));
        }
        if file.is_product() {
            found.extend(lines_with(file, &PANICS, "can panic"));
            if PURE.contains(&file.krate()) {
                found.extend(lines_with(file, &IMPURE, "the crate does no I/O"));
            }
        }
        skipped_tests(file, &mut found);
        for (number, line) in file.text.lines().enumerate() {
            if machine_paths.iter().any(|path| line.contains(path.as_str())) {
                found.push(format!(
                    "{}:{}: a path of this machine: {}",
                    file.path,
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    found
}

/// The folder around the checkout, and the user's home.
pub(super) fn machine_paths(root: &Path) -> Vec<String> {
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    // For a checkout in the temporary folder, this rule would forbid every mention of that folder.
    let around = root.parent().filter(|parent| *parent != std::env::temp_dir());
    let paths = [Some(root), around, home.as_deref()].into_iter().flatten();
    let paths = paths.map(|path| path.to_string_lossy().into_owned()).filter(|path| path.len() > 3);
    paths.map(|path| format!("{path}/")).collect()
}

fn wrong_length(file: &Source) -> Option<String> {
    let code = file.code_lines().count();
    let lines = file.text.lines().filter(|line| !line.trim().is_empty()).count();
    let mut short = FRONT_PAGES.iter().chain(&SHORT_MODULES);
    let may_be_short = !file.is_module() || short.any(|name| file.path.ends_with(name));
    if code > MAX_CODE_LINES {
        Some(format!("{}: {code} code lines, more than {MAX_CODE_LINES}; split it", file.path))
    } else if lines < MIN_LINES && !may_be_short {
        Some(format!("{}: {lines} lines, less than {MIN_LINES}; merge it", file.path))
    } else {
        None
    }
}

fn lines_with<'f>(
    file: &'f Source,
    needles: &'f [&str],
    why: &'f str,
) -> impl Iterator<Item = String> + 'f {
    let hit = |line: &str| {
        let code = line.split(" // ").next().unwrap_or(line);
        needles.iter().any(|needle| mentions(code, needle))
    };
    let lines = file.code_lines().filter(move |(_, line)| hit(line));
    lines.map(move |(number, line)| format!("{}:{number}: {why}: {}", file.path, line.trim()))
}

/// Whether the line contains `needle` outside of a string. The match must start at a word boundary:
/// `eprintln!` does not match `println!`.
fn mentions(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let before = &line[..at];
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let continues = needle.starts_with(is_word) && before.ends_with(is_word);
        let in_string =
            before.replace("'\"'", "").replace("\\\"", "").matches('"').count() % 2 == 1;
        !continues && !in_string
    })
}

/// A skipped test needs a reason: `#[ignore = "…"]`, or a comment on the same line or above it.
fn skipped_tests(file: &Source, found: &mut Vec<String>) {
    let marks: &[&str] = match file.path.rsplit('.').next() {
        Some("rs") => &["#[ignore]"],
        Some("mjs" | "js" | "ts") => &["it.skip(", "describe.skip(", "test.skip(", "skip: true"],
        _ => return,
    };
    let mut above = "";
    for (number, line) in file.text.lines().enumerate() {
        let explained = line.contains("// ") || above.trim_start().starts_with("//");
        if !explained && marks.iter().any(|mark| mentions(line, mark)) {
            found.push(format!(
                "{}:{}: a skipped test without its reason: {}",
                file.path,
                number + 1,
                line.trim()
            ));
        }
        above = line;
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    /// The complaints about a file that is long enough.
    fn complaints(path: &str, text: &str) -> Vec<String> {
        let text = format!("{text}\n{}", "// filling\n".repeat(MIN_LINES));
        check(&[source(path, &text)], &["/somewhere/".to_owned()])
    }

    #[test]
    fn a_panic_in_the_product_is_refused() {
        for line in ["_ => unreachable!(),", "    unimplemented!()"] {
            let found = complaints("socketio-server/src/hub.rs", line);
            assert_eq!(found.len(), 1, "{line}");
            assert!(found[0].starts_with("socketio-server/src/hub.rs:1: can panic"), "{found:?}");
        }
    }

    #[test]
    fn a_panic_in_tests_comments_strings_or_names_is_allowed() {
        let text = "// unreachable!()\nlet a = \"unreachable!()\";\nnot_unreachable!();\n#[cfg(test)]\nmod tests { fn t() { unreachable!() } }\n";
        assert_eq!(complaints("socketio-server/src/hub.rs", text), Vec::<String>::new());
        let test = complaints("socketio-server/tests/hub.rs", "unreachable!();");
        assert_eq!(test, Vec::<String>::new());
    }

    #[test]
    fn a_type_parameter_on_a_public_type_is_refused() {
        assert_eq!(complaints("socketio-server/src/model.rs", "pub struct Socket<A>(A);").len(), 1);
        assert!(complaints("socketio-server/src/model.rs", "pub struct Socket(u8);").is_empty());
    }

    #[test]
    fn io_in_a_pure_crate_is_refused() {
        let line = "use std::fs::File;";
        assert_eq!(complaints("engineio-parser/src/session/mod.rs", line).len(), 1);
        assert_eq!(complaints("adapters/core/src/cluster.rs", line).len(), 1);
        assert_eq!(complaints("engineio-server/src/engine.rs", line).len(), 0);
    }

    #[test]
    fn a_file_over_500_code_lines_is_refused() {
        assert_eq!(complaints("xtask/src/a.rs", &"a();\n".repeat(500)).len(), 0);
        assert_eq!(complaints("xtask/src/a.rs", &"a();\n".repeat(501)).len(), 1);
        assert_eq!(complaints("xtask/src/a.rs", &"// a\n\n".repeat(501)).len(), 0);
    }

    #[test]
    fn a_short_file_that_is_no_front_page_is_refused() {
        let complaint = |path, lines| wrong_length(&source(path, &"// a\n\n".repeat(lines)));
        assert_eq!(complaint("xtask/src/a.rs", 30), None);
        assert!(complaint("xtask/src/a.rs", 29).is_some());
        assert_eq!(complaint("xtask/src/a/mod.rs", 1), None);
        assert_eq!(complaint("xtask/tests/a.rs", 1), None);
    }

    #[test]
    fn unsafe_code_is_refused() {
        assert_eq!(complaints("adapters/core/src/a.rs", "let x = unsafe { y() };").len(), 1);
        assert!(complaints("interop/libfuzzer/src/a.rs", "unsafe { y() }").is_empty());
    }

    #[test]
    fn a_path_of_the_machine_is_refused_anywhere() {
        assert_eq!(complaints("README.md", "see /somewhere/else").len(), 1);
    }

    #[test]
    fn a_skipped_test_needs_a_reason() {
        assert_eq!(complaints("a/tests/b.rs", "#[ignore]\nfn c() {}").len(), 1);
        assert_eq!(
            complaints("a/tests/b.rs", "#[ignore = \"needs a broker\"]\nfn c() {}").len(),
            0
        );
        assert_eq!(complaints("interop/a.mjs", "test.skip('x', () => {})").len(), 1);
        assert_eq!(
            complaints("interop/a.mjs", "// not built yet\ntest.skip('x', () => {})").len(),
            0
        );
    }
}
