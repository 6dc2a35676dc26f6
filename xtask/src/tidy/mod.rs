//! `cargo xtask tidy`: checks the invariants of ARCHITECTURE.md against the source text and `cargo
//! metadata`.

mod behaviour;
mod commands;
mod imports;
mod links;
mod manifests;
mod source;
mod text;
mod tokens;

use std::process::ExitCode;

use crate::workspace::Workspace;

pub(crate) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err("usage: cargo xtask tidy".to_owned());
    }
    let complaints = complaints(workspace)?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy: no complaints");
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("{} complaints", complaints.len()))
}

/// All violations, one line each.
pub(crate) fn complaints(workspace: &Workspace) -> Result<Vec<String>, String> {
    let mut found = manifests::check(workspace)?;
    let files = source::load(&workspace.root)?;
    found.extend(text::check(&files, &text::machine_paths(&workspace.root)));
    found.extend(imports::check(&files));
    found.extend(behaviour::check(&files));
    found.extend(commands::check(&files, &workspace.metadata));
    found.extend(links::check(&files, &workspace.root));
    Ok(found)
}
