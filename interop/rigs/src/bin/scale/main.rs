//! Counts the instructions that the server and the client execute per message, client, room or
//! namespace, at growing numbers of them.
//!
//! `scale [short] [CASE…]` runs each case at each of its sizes in a process of its own under
//! `valgrind --tool=callgrind`, and counts only the work itself. It prints one line of JSON per case.
//! The counts do not depend on how busy the machine is. They contain the clients of the rig, which
//! cost the same at each size. The program fails if the cost per unit grows with the size. `short`
//! takes only sizes that are reached in seconds.
//!
//! The clients are in memory: the streams below the server's HTTP connections are buffers of this
//! process, and everything above is the real server.

mod cases;
mod clients;

use std::{
    env, fs,
    future::Future,
    io::{self, Error},
    pin::Pin,
    process::{Command, ExitCode},
};

use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use self::cases::{CASES, Case};

/// Sizes of the short form are at most this.
const SHORT: usize = 300;
/// The largest allowed ratio of the cost per unit to the cost at a smaller size.
const GROWTH: f64 = 1.5;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["measure", case, size] => measure(case, size).map(|units| println!("{units}")),
        ["short", ref names @ ..] => table(names, SHORT),
        ref names => table(names, usize::MAX),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn table(names: &[&str], most: usize) -> io::Result<()> {
    let mut grown = Vec::new();
    for case in CASES.iter().filter(|case| names.is_empty() || names.contains(&case.name)) {
        let mut costs = Vec::new();
        for size in case.sizes.iter().copied().filter(|size| *size <= most) {
            costs.push((size, cost(case, size)?));
        }
        let Case { name, title, of, unit, .. } = case;
        println!(
            "{}",
            json!({ "case": name, "title": title, "of": of, "unit": unit, "costs": costs })
        );
        let mut least = f64::MAX;
        for (size, cost) in costs {
            if cost > least * GROWTH {
                grown.push(format!(
                    "{name} costs {cost:.0} at {size} {of}, and {least:.0} at fewer"
                ));
            }
            least = least.min(cost);
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(Error::other(grown.join("; "))) }
}

/// Returns the instructions per unit of work.
fn cost(case: &Case, size: usize) -> io::Result<f64> {
    let out = env::temp_dir().join(format!("scale-{}.out", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=scale::counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["measure", case.name, &size.to_string()])
        .output()?;
    let failed = || {
        let text = String::from_utf8_lossy(&output.stderr);
        Error::other(format!("{} at {size} failed: {text}", case.name))
    };
    let units = String::from_utf8_lossy(&output.stdout).trim().parse::<f64>();
    let units = units.map_err(|_| failed())?;
    let text = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse::<f64>().ok()).filter(|it| *it > 0.0);
    Ok(total.ok_or_else(failed)? / units)
}

/// Performs the work of a case once. Returns the number of units.
fn measure(name: &str, size: &str) -> io::Result<u64> {
    let case = CASES.iter().find(|case| case.name == name);
    let (Some(case), Ok(size)) = (case, size.parse()) else {
        return Err(Error::other("unknown case or size"));
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let units = (case.run)(&runtime, size)?;
    // The end of thousands of sessions is not part of the work.
    std::mem::forget(runtime);
    Ok(units)
}

/// Runs the part of a case whose instructions count.
#[inline(never)]
fn counted(
    runtime: &Runtime,
    mut work: Pin<&mut dyn Future<Output = io::Result<()>>>,
) -> io::Result<()> {
    runtime.block_on(&mut work)
}
