//! `cargo xtask golden`: regenerates the golden vectors with the Node packages.

use std::fs;
use std::process::{Command, ExitCode};

use crate::workspace::Workspace;
use crate::{npm, process};

const SETS: [(&str, &str); 5] = [
    ("engineio.mjs", "engineio-parser/tests/golden/vectors.json"),
    ("socketio.mjs", "socketio-parser/tests/golden/vectors.json"),
    ("msgpack.mjs", "socketio-parser/tests/golden/msgpack.json"),
    ("cluster.mjs", "adapters/core/tests/golden/cluster.json"),
    ("client.mjs", "socketio-client/tests/golden/client.json"),
];

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err("usage: cargo xtask golden".to_owned());
    }
    let folder = workspace.target("golden");
    npm::install_copy(&workspace.root.join("xtask/golden"), &folder)?;
    for (script, data) in SETS {
        let path = workspace.root.join(data);
        let before = fs::read(&path).ok();
        process::run_ok(Command::new("node").current_dir(&folder).arg(script).arg(&path))?;
        let after =
            fs::read(&path).map_err(|error| format!("{script} did not write {data}: {error}"))?;
        match before {
            None => println!("{data}: new"),
            Some(before) if before == after => println!("{data}: unchanged"),
            Some(_) => println!("{data}: CHANGED; review the diff before you commit it"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
