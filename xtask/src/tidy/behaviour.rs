//! The tests in `tests/behaviour` form one program per crate. A file that `main.rs` does not
//! declare would never run.

use std::collections::HashMap;

use super::source::Source;

const FOLDER: &str = "/tests/behaviour/";

pub(super) fn check(files: &[Source]) -> Vec<String> {
    let mains: HashMap<&str, &str> = files
        .iter()
        .filter_map(|file| Some((file.path.strip_suffix("main.rs")?, file.text.as_str())))
        .filter(|(folder, _)| folder.ends_with(FOLDER))
        .collect();
    let undeclared = |file: &&Source| {
        let Some((folder, name)) = file.path.rsplit_once('/') else { return false };
        let folder = format!("{folder}/");
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else {
            return false;
        };
        folder.ends_with(FOLDER)
            && !mains.get(&*folder).is_some_and(|main| {
                main.lines().any(|line| line.trim() == format!("mod {module};"))
            })
    };
    let complaint = |file: &Source| {
        format!("{}: main.rs does not declare this module, so its tests never run", file.path)
    };
    files.iter().filter(undeclared).map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    #[test]
    fn a_test_file_that_main_does_not_declare_is_refused() {
        let mut files = vec![
            source("a/tests/behaviour/main.rs", "mod support;\nmod it_works;\n"),
            source("a/tests/behaviour/it_works.rs", ""),
            source("a/tests/behaviour/support/mod.rs", ""),
            source("a/tests/alone.rs", ""),
        ];
        assert_eq!(check(&files), Vec::<String>::new());
        files.push(source("a/tests/behaviour/it_fails.rs", ""));
        assert_eq!(check(&files).len(), 1);
    }
}
