//! Rules for the packages that the workspace depends on: where they come from, and their licenses.
//! cargo-deny checks the same, but building it takes longer than most suites.

use std::iter::Peekable;

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Permissive licenses. Every package can be used under these alone.
const PERMITTED: [&str; 13] = [
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub(super) fn check(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata.get("packages").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        if let Some(source) = text("source").filter(|source| *source != REGISTRY) {
            found.push(format!("{name} comes from {source}, not from crates.io"));
        }
        match text("license") {
            Some(license) if is_permitted(license) => {}
            Some(license) => found.push(format!("{name} has the license {license}")),
            None => found.push(format!("{name} names no license")),
        }
    }
    found
}

/// Whether the permitted licenses fulfill an SPDX expression. A slash is an old form of `OR`.
fn is_permitted(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    either(&mut expression.split_whitespace().peekable())
}

fn either<'w>(words: &mut Peekable<impl Iterator<Item = &'w str>>) -> bool {
    let mut permitted = both(words);
    while words.next_if_eq(&"OR").is_some() {
        permitted |= both(words);
    }
    permitted
}

fn both<'w>(words: &mut Peekable<impl Iterator<Item = &'w str>>) -> bool {
    let mut permitted = single(words);
    while words.next_if_eq(&"AND").is_some() {
        permitted &= single(words);
    }
    permitted
}

fn single<'w>(words: &mut Peekable<impl Iterator<Item = &'w str>>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let permitted = either(words);
        return words.next() == Some(")") && permitted;
    }
    let permitted = words.next().is_some_and(|name| PERMITTED.contains(&name));
    // An exception only grants more rights.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    permitted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_permitted_alternative_is_enough() {
        for license in ["MIT", "MIT/Apache-2.0", "LGPL-2.1-or-later OR MIT", "Apache-2.0 / MIT"] {
            assert!(is_permitted(license), "{license}");
        }
        assert!(is_permitted("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(is_permitted("(MIT OR GPL-3.0) AND Unicode-3.0"));
    }

    #[test]
    fn all_joined_licenses_must_be_permitted() {
        for license in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "(MIT", ""] {
            assert!(!is_permitted(license), "{license}");
        }
    }

    #[test]
    fn a_package_from_another_place_is_refused() {
        let package = |source: Value| json!({ "name": "a", "license": "MIT", "source": source });
        let found = |source| check(&json!({ "packages": [package(source)] }));
        assert_eq!(found(json!(REGISTRY)), Vec::<String>::new());
        assert_eq!(found(Value::Null), Vec::<String>::new());
        assert_eq!(
            found(json!("git+https://a")),
            ["a comes from git+https://a, not from crates.io"]
        );
    }

    #[test]
    fn a_package_without_a_license_is_refused() {
        let metadata = json!({ "packages": [{ "name": "a", "source": REGISTRY }] });
        assert_eq!(check(&metadata), ["a names no license"]);
    }
}
