//! The first programs of the README, built as a new user pastes them into a project outside of the
//! workspace.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::outcome::Outcome;
use crate::process::{self, Background};
use crate::workspace::Workspace;

/// How often the client tries to connect, once every [`PAUSE`].
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(200);

/// Builds and starts the README's server, and runs its client against it.
pub(super) fn readme(workspace: &Workspace) -> Result<Outcome, String> {
    let failed = |error: std::io::Error| format!("the README's project: {error}");
    let text = fs::read_to_string(workspace.root.join("README.md")).map_err(failed)?;
    let port = process::free_port()?;
    let project = Project::read(&text)?.at(&workspace.root.to_string_lossy(), port);

    from_git(workspace, &project.manifest)?;
    let folder = workspace.target("readme");
    fs::create_dir_all(folder.join("src/bin")).map_err(failed)?;
    fs::write(folder.join("Cargo.toml"), project.manifest).map_err(failed)?;
    fs::write(folder.join("src/main.rs"), project.server).map_err(failed)?;
    fs::write(folder.join("src/bin/readme-client.rs"), project.client).map_err(failed)?;
    // With the lock file of the workspace, nothing has to be downloaded.
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    // The profile of the workspace, so that its compiled dependencies can be used again.
    let mut cargo = workspace.cargo();
    cargo.env("CARGO_TARGET_DIR", workspace.target(""));
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    process::run_ok(cargo.current_dir(&folder).args(["build", "--quiet"]))?;

    let program = |name: &str| Command::new(workspace.target("debug").join(name));
    let _server = Background::spawn(&mut program("readme-server"))?;
    let mut answer = Err("the client was not started".to_owned());
    for _ in 0..ATTEMPTS {
        answer = process::output(&mut program("readme-client"));
        if answer.is_ok() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    match answer?.trim() {
        "HELLO" => Ok(Outcome::good()),
        other => Err(format!("the README's client printed `{other}`")),
    }
}

/// Lets cargo find the packages in this repository by their names, at its last commit. The files of
/// an archive without a repository are not tested.
fn from_git(workspace: &Workspace, manifest: &str) -> Result<(), String> {
    if !workspace.root.join(".git").exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("the README's git dependency: {error}");
    let folder = workspace.target("readme-git");
    // A cargo home of its own, so that copies of the repository do not pile up in the user's.
    let home = folder.join("home");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).map_err(failed)?;
    fs::create_dir_all(folder.join("src")).map_err(failed)?;
    let user = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(user) = user.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))) {
        for shared in ["registry", "config.toml"] {
            if user.join(shared).exists() {
                std::os::unix::fs::symlink(user.join(shared), home.join(shared)).map_err(failed)?;
            }
        }
    }
    let address = format!("file://{}", workspace.root.display());
    fs::write(folder.join("Cargo.toml"), with_git(manifest, &address)).map_err(failed)?;
    fs::write(folder.join("src/main.rs"), "fn main() {}\n").map_err(failed)?;
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    let mut cargo = workspace.cargo();
    cargo.current_dir(&folder).env("CARGO_HOME", &home);
    let found = process::output(cargo.args(["metadata", "--format-version", "1"]));
    let _ = fs::remove_dir_all(&home);
    found.map(drop)
}

/// Replaces the paths of dependencies by the address of a repository.
fn with_git(manifest: &str, address: &str) -> String {
    let mut parts = manifest.split("path = \"");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('"').map_or(part, |(_, rest)| rest);
        replaced.push_str(&format!("git = \"{address}\"{rest}"));
    }
    replaced
}

/// The files of a project with both programs.
#[derive(Debug, PartialEq, Eq)]
struct Project {
    manifest: String,
    server: String,
    client: String,
}

impl Project {
    /// Reads the first two manifests and the first two programs of the README.
    fn read(readme: &str) -> Result<Project, String> {
        let missing = || "the README lacks its first manifests and programs".to_owned();
        let mut manifests = blocks(readme, "toml");
        let server = manifests.next().ok_or_else(missing)?;
        let client = manifests.next().ok_or_else(missing)?;
        let client = client.strip_prefix("[dependencies]\n").ok_or_else(missing)?;
        let package = "[package]\nname = \"readme-server\"\nedition = \"2024\"\n\n[workspace]\n\n";
        let manifest = format!("{package}{server}{client}");
        let mut programs = blocks(readme, "rust,no_run");
        let server = programs.next().ok_or_else(missing)?.to_owned();
        let client = programs.next().ok_or_else(missing)?.to_owned();
        Ok(Project { manifest, server, client })
    }

    /// Fills in the path of the checkout, and a port that is free.
    fn at(mut self, checkout: &str, port: u16) -> Project {
        self.manifest = self.manifest.replace("path/to/this/checkout", checkout);
        for program in [&mut self.server, &mut self.client] {
            *program = program.replace("127.0.0.1:3000", &format!("127.0.0.1:{port}"));
        }
        self
    }
}

/// The contents of the code blocks in one language.
fn blocks<'t>(markdown: &'t str, language: &str) -> impl Iterator<Item = &'t str> {
    let opening = format!("```{language}\n");
    let starts: Vec<_> =
        markdown.match_indices(&opening).map(|(at, _)| at + opening.len()).collect();
    starts.into_iter().filter_map(|start| {
        let rest = markdown.get(start..)?;
        rest.split_once("```").map(|(block, _)| block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_of_a_readme_become_one_project() {
        let readme = "```toml\n[dependencies]\na = { path = \"path/to/this/checkout/a\" }\n```\n\
            ```rust,no_run\nserve(\"127.0.0.1:3000\")\n```\n```toml\n[dependencies]\nb = \"1\"\n```\n\
            ```rust,no_run\nconnect(\"127.0.0.1:3000\")\n```\n";
        let project = Project::read(readme).unwrap().at("/here", 7);
        assert!(
            project.manifest.ends_with("[dependencies]\na = { path = \"/here/a\" }\nb = \"1\"\n")
        );
        assert_eq!(project.server, "serve(\"127.0.0.1:7\")\n");
        assert_eq!(project.client, "connect(\"127.0.0.1:7\")\n");
    }

    #[test]
    fn paths_of_dependencies_become_the_address_of_a_repository() {
        let manifest =
            "a = { path = \"/here/a\", features = [\"b\"] }\nc = { path = \"/here/c\" }\n";
        assert_eq!(
            with_git(manifest, "file:///here"),
            "a = { git = \"file:///here\", features = [\"b\"] }\nc = { git = \"file:///here\" }\n"
        );
    }

    #[test]
    fn a_readme_without_programs_is_refused() {
        assert!(Project::read("```toml\n```").unwrap_err().contains("lacks"));
    }
}
