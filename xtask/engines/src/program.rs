//! Finds and runs the programs of the engines. The error names the package to install.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's folders for servers' programs, which are not in every user's path.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const POSTGRES: &str = "/usr/lib/postgresql";

/// The reason why an engine does not run. If a program is missing, the text names the package to
/// install.
pub struct Error(pub(crate) String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// `unwrap` in a test prints this.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Runs a helper program to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Error(format!("`{program}`: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Error(format!("`{program}` failed: {out}{err}")))
}

/// Finds a program of a Debian package.
pub(crate) fn find(name: &str, package: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.extend(versions(Path::new(POSTGRES)));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(
        || Error(format!("`{name}` is missing: install your system's package `{package}`")),
    )
}

/// PostgreSQL's folders, one per version. The newest version comes first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let mut all: Vec<_> = entries.map(|entry| entry.path()).collect();
    all.sort_by_key(|path| std::cmp::Reverse(number(path)));
    all.into_iter().map(|path| path.join("bin")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = find("no-such-program-here", "its-package").unwrap_err();
        assert!(error.to_string().contains("`its-package`"), "{error}");
    }
}
