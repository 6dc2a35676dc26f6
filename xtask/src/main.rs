//! `cargo xtask`: builds, checks, demonstrates and tests the workspace. The product never depends
//! on it.

mod api;
mod bench;
mod demo;
mod fuzz;
mod golden;
mod npm;
mod process;
mod test;
mod tidy;
mod usage;
mod workspace;

use std::process::ExitCode;

use usage::USAGE;
use workspace::Workspace;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode, String> {
    let Some((command, args)) = args.split_first() else {
        return Err(format!("a command is missing\n{USAGE}"));
    };
    process::stop_children_on_signals()?;
    let workspace = Workspace::find()?;
    match command.as_str() {
        "test" => test::main(&workspace, args),
        "demo" => demo::main(&workspace, args),
        "tidy" => tidy::main(&workspace, args),
        "api" => api::main(&workspace, args),
        "bench" => bench::main(&workspace, args),
        "golden" => golden::main(&workspace, args),
        "fuzz" => fuzz::main(&workspace, args),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("unknown command `{other}`\n{USAGE}")),
    }
}
