//! `cargo xtask bench scale`: instructions per message, client, room or namespace, at growing
//! numbers of them.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use super::chart::{self, Line};
use super::machine;
use super::options::Options;
use super::report::{fill, write};
use crate::process;
use crate::workspace::Workspace;

const JSON: &str = "docs/guide/src/performance/scale.json";
const CHART: &str = "docs/guide/src/performance/scale.svg";
const GUIDE: &str = "docs/guide/src/performance.md";
/// The cases of each plot, with their names in the legend.
const PLOTS: [(&str, [(&str, &str); 3]); 2] = [
    (
        "instructions, by clients",
        [("echo", "echo"), ("broadcast", "delivery of a broadcast"), ("leave", "end")],
    ),
    (
        "instructions, by namespaces of a client",
        [("event", "echo"), ("namespaces", "join"), ("quit", "leave")],
    ),
];

#[derive(Deserialize, Serialize)]
struct Run {
    /// Date, machine and versions.
    run: String,
    cases: Vec<Case>,
}

/// A line of the output of the rig.
#[derive(Deserialize, Serialize)]
struct Case {
    case: String,
    title: String,
    /// The objects whose number grows, such as clients or rooms.
    of: String,
    unit: String,
    /// Pairs of a number and the instructions per unit.
    costs: Vec<(usize, f64)>,
}

pub(super) fn main(workspace: &Workspace, options: &Options) -> Result<ExitCode, String> {
    let named = |error: &dyn std::fmt::Display| format!("the counts: {error}");
    let mut code = ExitCode::SUCCESS;
    let run = match &options.from {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| named(&error))?;
            serde_json::from_str(&text).map_err(|error| named(&error))?
        }
        None => {
            if !process::exists("valgrind") {
                return Err("needs valgrind".to_owned());
            }
            let mut cargo = workspace.cargo();
            cargo.args(["build", "--release", "--package", "rigs", "--no-default-features"]);
            process::run_ok(cargo.args(["--bin", "scale"]))?;
            let mut run = Run { run: machine::describe(workspace)?, cases: Vec::new() };
            let mut rig = Command::new(workspace.target("release/scale"));
            let status = process::run_lines(&mut rig, |line| {
                println!("{line}");
                run.cases.extend(serde_json::from_str::<Case>(line));
            })?;
            if !status.success() {
                code = ExitCode::FAILURE;
            }
            run
        }
    };
    let json = serde_json::to_string_pretty(&run).map_err(|error| named(&error))? + "\n";
    write(&workspace.target("bench/scale.json"), &json)?;
    println!("\n{}", run.markdown());
    if options.write {
        write(&workspace.root.join(JSON), &json)?;
        write(&workspace.root.join(CHART), &run.chart())?;
        let image = "![Instructions by the number of clients and of namespaces]";
        let text = format!("{image}(performance/scale.svg)\n\n{}", run.markdown());
        fill(&workspace.root.join(GUIDE), "scale", &text)?;
    }
    Ok(code)
}

impl Run {
    /// A table for each kind of thing that there are many of.
    fn markdown(&self) -> String {
        let mut text = format!("{}.\n", self.run);
        let mut before = "";
        for case in &self.cases {
            if case.of != before {
                before = &case.of;
                let sizes = case.costs.iter().map(|(size, _)| grouped(*size));
                let sizes: Vec<_> = sizes.collect();
                let _ = write!(text, "\n| work | per | {} {} |\n", sizes.join(" | "), case.of);
                text += &format!("|---|---|{}\n", "---|".repeat(sizes.len()));
            }
            let costs = case.costs.iter().map(|(_, cost)| grouped(cost.round() as usize));
            let costs = costs.collect::<Vec<_>>().join(" | ");
            let _ = writeln!(text, "| {} | {} | {costs} |", case.title, case.unit);
        }
        text
    }

    fn chart(&self) -> String {
        let plots = PLOTS.map(|(name, cases)| {
            let line = |(case, title)| Line {
                title,
                points: self
                    .cases
                    .iter()
                    .filter(|it| it.case == case)
                    .flat_map(|it| it.costs.iter().map(|(size, cost)| (*size as f64, *cost)))
                    .collect(),
            };
            (name, cases.map(line).into())
        });
        chart::plots("Instructions per message, client or namespace", plots)
    }
}

/// A number with blanks between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_number_has_a_table_with_its_sizes() {
        let case = |case: &str, of: &str, costs: &[(usize, f64)]| Case {
            case: case.to_owned(),
            title: format!("the work {case}"),
            of: of.to_owned(),
            unit: "echo".to_owned(),
            costs: costs.to_vec(),
        };
        let cases = vec![
            case("echo", "clients", &[(30, 12_345.4), (10_000, 12_400.0)]),
            case("leave", "clients", &[(30, 1.0), (10_000, 2.0)]),
            case("event", "namespaces", &[(1, 5.0)]),
        ];
        let run = Run { run: "one day".to_owned(), cases };
        let text = run.markdown();
        let table = "| work | per | 30 | 10 000 clients |\n|---|---|---|---|\n\
                     | the work echo | echo | 12 345 | 12 400 |\n";
        assert!(text.contains(table), "{text}");
        assert_eq!(text.matches("| work |").count(), 2, "{text}");
        assert!(run.chart().contains(">10 k<"), "{}", run.chart());
        assert!(run.chart().contains(">30<"), "{}", run.chart());
    }
}
