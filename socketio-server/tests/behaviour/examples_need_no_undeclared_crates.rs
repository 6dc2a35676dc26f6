//! The examples in the documentation use only this crate, the standard library, and crates that an
//! application chooses itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The crates that applications choose: the runtime, the data formats, an HTTP framework, an error
/// derive.
const CHOSEN: [&str; 5] = ["tokio", "serde", "serde_json", "axum", "thiserror"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.flatten().collect()
}

#[test]
fn examples_of_the_documentation_use_no_crate_behind_this_one() {
    let mut examples = 0;
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for line in fs::read_to_string(&path).unwrap().lines() {
            let comment = line.trim_start().strip_prefix("//");
            let code = comment.map(|text| text.trim_start_matches(['/', '!', '#', ' ']));
            let Some(import) = code.and_then(|code| code.strip_prefix("use ")) else { continue };
            let name = import.split([':', ';', ' ']).next().unwrap();
            let allowed = ["std", "socketio_server"].contains(&name) || CHOSEN.contains(&name);
            assert!(allowed || !import.contains("::"), "{}: {line}", path.display());
            examples += 1;
        }
    }
    assert!(examples > 50, "only {examples} imports were found");
}
