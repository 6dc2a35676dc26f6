//! The edges of the code that the inputs of a corpus reach, per file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process;
use crate::workspace::Workspace;

/// Edges, by their index in the program's table.
pub(super) type Edges = BTreeSet<usize>;

/// Reads the edges that a merge of libFuzzer has reached from its control file.
pub(super) fn merged(control: &str) -> Edges {
    let lines = control.lines().filter_map(|line| line.strip_prefix("COV "));
    // The first number is that of the input.
    lines.flat_map(|line| line.split(' ').skip(1)).filter_map(|edge| edge.parse().ok()).collect()
}

/// Prints how many edges of each source file of the workspace are reached. An edge of an inlined
/// function belongs to the innermost function of the workspace.
pub(super) fn print(workspace: &Workspace, program: &Path, reached: &Edges) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{program:?}: {error}");
    let Some(table) = addresses(&fs::read(program).map_err(failed)?) else {
        println!(
            "no coverage per file, because the program has no table of edges in the format ELF"
        );
        return Ok(());
    };
    let list = workspace.target("fuzz/addresses");
    let text: String = table.iter().map(|address| format!("{address:#x}\n")).collect();
    fs::write(&list, text).map_err(failed)?;
    let mut command = Command::new("addr2line");
    command.args(["--inlines", "--addresses", "--exe"]).arg(program);
    let frames = process::output(command.arg(format!("@{}", list.display())))?;
    let root = format!("{}/", workspace.root.display());
    println!("edges reached, edges, file:");
    let (mut all_reached, mut all) = (0, 0);
    for (file, [reached, edges]) in per_file(&frames, &root, reached) {
        println!("{reached:>6} {edges:>6} {:>4}%  {file}", reached * 100 / edges);
        all_reached += reached;
        all += edges;
    }
    println!("{all_reached:>6} {all:>6} {:>4}%  all", all_reached * 100 / all.max(1));
    Ok(())
}

/// Counts the edges of each file that has a reached one: first the reached edges, then all. `frames`
/// is the output of addr2line: for each edge its address, then its functions from the innermost one.
fn per_file<'a>(frames: &'a str, root: &str, reached: &Edges) -> BTreeMap<&'a str, [usize; 2]> {
    let mut files = BTreeMap::<_, [usize; 2]>::new();
    for (edge, frames) in frames.split("0x").skip(1).enumerate() {
        let mut of_workspace = frames.lines().filter_map(|line| line.strip_prefix(root));
        let Some(file) = of_workspace.find_map(|line| line.split(':').next()) else { continue };
        let counts = files.entry(file).or_default();
        counts[0] += usize::from(reached.contains(&edge));
        counts[1] += 1;
    }
    files.retain(|file, counts| counts[0] > 0 && !file.contains("tests/"));
    files
}

/// Returns the addresses of the edges of a program in the format ELF.
fn addresses(program: &[u8]) -> Option<Vec<u64>> {
    let (begin, table) = section(program, b"__sancov_pcs")?;
    // An address and flags.
    let mut addresses: Vec<_> =
        (0..table.len()).step_by(16).map_while(|at| number(table, at, 8)).collect();
    // The addresses of a program that is loaded anywhere are in its relocations.
    if let Some((_, relocations)) = section(program, b".rela.dyn") {
        for relocation in relocations.chunks_exact(24) {
            let at = number(relocation, 0, 8)?.checked_sub(begin);
            if let Some(address) = at.and_then(|at| addresses.get_mut(at as usize / 16)) {
                *address = number(relocation, 16, 8)?;
            }
        }
    }
    Some(addresses)
}

/// Returns the address of a section, and its bytes.
fn section<'a>(program: &'a [u8], name: &[u8]) -> Option<(u64, &'a [u8])> {
    let program = program.strip_prefix(b"\x7fELF\x02\x01").map(|_| program)?;
    let headers = program.get(number(program, 0x28, 8)? as usize..)?;
    let mut headers = headers.chunks_exact(64).take(number(program, 0x3c, 2)? as usize);
    let names = headers.clone().nth(number(program, 0x3e, 2)? as usize)?;
    let names = program.get(number(names, 24, 8)? as usize..)?;
    let header = headers.find(|header| {
        let at = number(header, 0, 4).and_then(|at| names.get(at as usize..));
        at.and_then(|at| at.strip_prefix(name)).is_some_and(|rest| rest.starts_with(b"\0"))
    })?;
    let begin = number(header, 24, 8)? as usize;
    let bytes = program.get(begin..begin.checked_add(number(header, 32, 8)? as usize)?)?;
    Some((number(header, 16, 8)?, bytes))
}

/// Reads a little-endian number of up to eight bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_a_merge_are_those_of_all_its_inputs() {
        let control = "2\n0\na\nb\nSTARTED 0 3\nFT 0 7 8\nCOV 0 1 2\nSTARTED 1 4\nFT 1\nCOV 1 5\n";
        assert_eq!(merged(control), Edges::from([1, 2, 5]));
    }

    #[test]
    fn an_edge_belongs_to_the_innermost_function_of_the_workspace() {
        let frames = "0x01\n/rust/core/ptr.rs:1\n/w/a/src/b.rs:2\n/w/a/src/c.rs:3\n\
            0x02\n/w/a/src/b.rs:9 (discriminator 1)\n0x03\n??:0\n0x04\n/w/a/tests/d.rs:1\n0x05\n/w/a/src/e.rs:1\n";
        let found = per_file(frames, "/w/", &Edges::from([0, 3]));
        assert_eq!(found, BTreeMap::from([("a/src/b.rs", [1, 2])]));
    }

    #[test]
    fn only_programs_in_the_format_elf_have_addresses() {
        assert_eq!(addresses(b"\xcf\xfa\xed\xfe"), None);
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        if own.starts_with(b"\x7fELF") {
            assert!(section(&own, b".text").is_some_and(|(_, bytes)| !bytes.is_empty()));
            assert_eq!(addresses(&own), None);
        }
    }
}
