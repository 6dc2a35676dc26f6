//! Runs a target under libFuzzer with the stable compiler. Only sanitizers need a nightly compiler.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::coverage::{self, Edges};
use super::{Suite, Target};
use crate::process;
use crate::workspace::Workspace;

/// Calls the compiler for a package of the workspace. Adds the counters of edges that libFuzzer reads
/// after each input, so other packages have none. Neither have build scripts, which are compiled without
/// `--target`. Operands of comparisons are not recorded: with them, executions take up to a fifth longer,
/// and as many of them reach no more edges.
///
/// The other options make the code smaller, and with it the number of counters: to a third. A panic
/// aborts the process, so that no code unwinds. A test program needs an unstable option for that.
/// Generic code that a package has compiled is shared with the packages that depend on it.
const INSTRUMENT: &str = "#!/bin/sh
case \" $* \" in *' --target '*) ;; *) exec \"$@\" ;; esac
case \" $* \" in *' --test '*) tests=-Zpanic_abort_tests ;; esac
export RUSTC_BOOTSTRAP=1
exec \"$@\" -Cpanic=abort $tests -Ccodegen-units=1 -Zshare-generics=yes -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \\
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
";

/// Without the weights of its entropic schedule, libFuzzer executes up to half as many inputs more, and
/// reaches at least as many edges in the same time. It does not look for shorter inputs either, because
/// the merge afterwards prefers them.
const SCHEDULE: [&str; 2] = ["-entropic=0", "-reduce_inputs=0"];

/// Limits for one input: 512 MiB and 5 seconds. Only a decoder of quadratic cost exceeds them.
const LIMITS: [&str; 2] = ["-rss_limit_mb=512", "-timeout=5"];

/// The inputs of a corpus in the source tree, and its size in bytes.
pub(super) const KEPT: usize = 60;
pub(super) const KEPT_BYTES: usize = 16_000;

/// Runs a target for some seconds, then removes inputs from its corpus that reach nothing that others do not
/// reach. The corpus is in cargo's target folder. Returns the edges that it reaches.
pub(super) fn run(
    workspace: &Workspace,
    program: &Path,
    target: &Target,
    seconds: u64,
    keep: bool,
) -> Result<Edges, String> {
    let package = workspace.root.join(target.suite.folder);
    let program = script(workspace, program, &package, target)?;
    let name = &target.name;
    let folder = workspace.target("fuzz/corpus").join(name);
    create(&folder)?;
    // libFuzzer writes to the standard error. The last line of `times` is the CPU time of the program.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" \"$@\" 2>&1; status=$?; times; exit $status"]);
    command.arg(&program).args(LIMITS).arg(max_len(name));
    command.env("LIBFUZZER_SEEDS", &folder);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{name}-", workspace.target("fuzz").display()));
    command.args(SCHEDULE).arg("-print_final_stats=1").arg(&folder);
    let (mut begin, mut end, mut last) = (String::new(), String::new(), Vec::new());
    let mut executions = 0.0;
    let status = process::run_lines(&mut command, |line| {
        match line.split_whitespace().nth(1) {
            Some("INITED") => begin = coverage(line),
            Some("NEW" | "REDUCE" | "DONE" | "pulse") => end = coverage(line),
            _ => {}
        }
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = number.trim().parse().unwrap_or_default();
        }
        last.push(line.to_owned());
        if last.len() > 40 {
            last.remove(0);
        }
    })?;
    let cpu = last.last().and_then(|line| cpu_seconds(line)).unwrap_or_default();
    println!(
        "{name}: {executions} executions in {seconds} s, {:.0} per second of CPU time; edges {begin} at first, {end} at last",
        executions / cpu.max(0.01)
    );
    if !status.success() {
        return Err(format!("{name} has a finding:\n{}", last.join("\n")));
    }
    let smaller = folder.with_extension("smaller");
    let reached = merge(&program, "-merge=1", &folder, &smaller)?;
    let moved = fs::remove_dir_all(&folder).and_then(|()| fs::rename(&smaller, &folder));
    moved.map_err(|error| format!("{folder:?}: {error}"))?;
    if keep {
        let cover = folder.with_extension("cover");
        merge(&program, "-set_cover_merge=1", &folder, &cover)?;
        write_kept(&cover, &kept(workspace, target))?;
    }
    Ok(reached)
}

/// The longest input. Whole conversations and sequences of operations reach no more edges if they are
/// longer, only the same ones more often. Bodies of long-polling reach one more edge. `transports` reads
/// no more bytes.
fn max_len(target: &str) -> &'static str {
    let whole = target.starts_with("server_") || target.starts_with("client_");
    match target {
        "transports" => "-max_len=250",
        "server_websocket" => "-max_len=192",
        "server_http" | "client_proxy" => "-max_len=384",
        "client_polling" => "-max_len=512",
        _ if whole => "-max_len=1024",
        "payload_v3" | "payload_v4" => "-max_len=512",
        "cluster_ops" => "-max_len=128",
        _ if target.ends_with("_ops") => "-max_len=256",
        _ => "-max_len=4096",
    }
}

/// The inputs of a target in the source tree, one per line.
pub(super) fn kept(workspace: &Workspace, target: &Target) -> PathBuf {
    let package = workspace.root.join(target.suite.folder);
    package.join(format!("tests/corpus/{}.txt", target.name))
}

/// Builds the test program of a suite with instrumented code and libFuzzer.
pub(super) fn build(workspace: &Workspace, suite: &Suite) -> Result<PathBuf, String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not name its host")?;
    let folder = workspace.target("fuzz");
    create(&folder)?;
    // Cargo does not compile again if only the content of a wrapper changes.
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(INSTRUMENT);
    let wrapper = folder.join(format!("instrument-{hash:x}"));
    write_program(&wrapper, INSTRUMENT)?;
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-run", "--quiet", "--profile", "fuzz", "--target", host]);
    cargo.args(["--all-features", "-p", suite.package]).args(suite.program);
    cargo.args(["--message-format", "json-render-diagnostics", "--target-dir"]);
    cargo.arg(&folder).env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    cargo.env("RUSTFLAGS", "--cfg fuzzing").env("CARGO_INCREMENTAL", "0");
    let messages = process::output(&mut cargo)?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    executable.ok_or_else(|| format!("cargo has built no test program of {}", suite.package))
}

/// Writes a program that passes its arguments to libFuzzer inside a test. libFuzzer starts it again
/// to minimize a corpus.
fn script(
    workspace: &Workspace,
    program: &Path,
    package: &Path,
    target: &Target,
) -> Result<PathBuf, String> {
    let folder = workspace.target("fuzz/run");
    create(&folder)?;
    let path = folder.join(&target.name);
    let (package, program, test) = (package.display(), program.display(), &target.test);
    // Without the thresholds, the C library returns large buffers to the system after each input.
    // The variable makes the test run in this process, although a panic aborts it.
    let text = format!(
        "#!/bin/sh\n\
        export __RUST_TEST_INVOKE={test}\n\
        export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000\n\
        export LIBFUZZER_ARGS=\"$(printf '%s\\n' \"$0\" \"$@\")\" CARGO_MANIFEST_DIR='{package}'\n\
        cd '{package}' && exec '{program}'\n"
    );
    write_program(&path, &text)?;
    Ok(path)
}

fn write_program(path: &Path, text: &str) -> Result<(), String> {
    let written = fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
    written.map_err(|error| format!("{path:?}: {error}"))
}

/// The number of edges in a line of libFuzzer.
fn coverage(line: &str) -> String {
    let mut words = line.split_whitespace().skip_while(|word| *word != "cov:");
    words.nth(1).unwrap_or("?").to_owned()
}

/// The sum of the user and system time in a line of `times`, such as `1m2.50s 0m0.25s`.
fn cpu_seconds(line: &str) -> Option<f64> {
    let times = line.split_whitespace().map(|time| {
        let (minutes, seconds) = time.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    });
    times.sum()
}

/// Copies the inputs to another folder that together reach what all reach. Returns the edges.
fn merge(program: &Path, how: &str, from: &Path, to: &Path) -> Result<Edges, String> {
    let _ = fs::remove_dir_all(to);
    create(to)?;
    let control = to.with_extension("control");
    let _ = fs::remove_file(&control);
    let mut command = Command::new(program);
    command.args(LIMITS).arg(how).arg(format!("-merge_control_file={}", control.display()));
    command.args([to, from]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    process::run_ok(&mut command)?;
    let text = fs::read_to_string(&control).map_err(|error| format!("{control:?}: {error}"))?;
    Ok(coverage::merged(&text))
}

/// Writes inputs to the source tree, where all tests use them as seeds.
fn write_kept(folder: &Path, kept: &Path) -> Result<(), String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{folder:?}: {error}"))? {
        let path = entry.map_err(|error| format!("{folder:?}: {error}"))?.path();
        let input = fs::read(&path).map_err(|error| format!("{path:?}: {error}"))?;
        lines.push(input.escape_ascii().to_string());
    }
    let text = sample(lines);
    create(kept.parent().unwrap_or(kept))?;
    fs::write(kept, text).map_err(|error| format!("{kept:?}: {error}"))
}

/// Joins lines to a text of limited size: of many lines, every nth.
fn sample(mut lines: Vec<String>) -> String {
    lines.retain(|line| !line.is_empty());
    lines.sort_by_key(|line| (line.len(), line.clone()));
    let mut step = lines.len().div_ceil(KEPT).max(1);
    loop {
        let text: String = lines.iter().step_by(step).flat_map(|line| [line, "\n"]).collect();
        if text.len() <= KEPT_BYTES {
            return text;
        }
        step += 1;
    }
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{folder:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_the_shell_are_added() {
        assert_eq!(cpu_seconds("1m2.50s 0m0.25s"), Some(62.75));
        assert_eq!(cpu_seconds("stat::peak_rss_mb: 40"), None);
    }

    #[test]
    fn a_kept_corpus_has_a_limited_number_of_inputs_and_bytes() {
        let lines = |count, length| vec!["x".repeat(length); count];
        assert_eq!(sample(lines(3, 1)), "x\nx\nx\n");
        assert_eq!(sample(lines(3 * KEPT, 1)).lines().count(), KEPT);
        assert!(sample(lines(10, KEPT_BYTES / 2)).len() <= KEPT_BYTES);
        assert_eq!(sample(vec![String::new()]), "");
    }
}
