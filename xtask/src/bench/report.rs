//! The figures of a run: text, JSON, and the tables and charts of the documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cases::{CASES, Case, Kind, PROGRAMS, Program, Role};
use super::chart;
use super::measure::Figure;

const JSON: &str = "docs/guide/src/performance/table.json";
const CHART: &str = "docs/guide/src/performance/cpu.svg";
const GUIDE: &str = "docs/guide/src/performance.md";
const README: &str = "README.md";
/// The programs of the README's table. The guide has all.
const IN_README: [&str; 6] =
    ["ours", "ours-tuned", "socketioxide-tuned", "rust_socketio", "node", "floor"];

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Report {
    /// Date, machine and versions.
    run: String,
    rounds: usize,
    /// Figures by the name of the case and of the program.
    cases: BTreeMap<String, BTreeMap<String, Figure>>,
}

impl Report {
    pub(super) fn new(run: String, rounds: usize) -> Self {
        Self { run, rounds, cases: BTreeMap::new() }
    }

    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| named(&error))?;
        serde_json::from_str(&text).map_err(|error| named(&error))
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        write(path, &(json + "\n"))
    }

    /// Adds the figures of a case. Returns a line that shows them.
    pub(super) fn add(&mut self, case: &Case, figures: BTreeMap<String, Figure>) -> String {
        self.cases.insert(case.name.to_owned(), figures);
        let mut line = format!("{:<19} {:>5}", case.name, case.unit);
        for (program, figure) in self.figures(case) {
            let wrong = match figure.wrong {
                0 => String::new(),
                wrong => format!(" ({wrong} WRONG)"),
            };
            let cost = rounded(figure.cost);
            let (p50, p99) = (rounded(figure.p50), rounded(figure.p99));
            let _ = write!(line, "  {} {cost}{wrong} [{p50}/{p99}]", program.name);
        }
        line
    }

    /// The figures of a case in the order of the programs.
    fn figures(&self, case: &Case) -> Vec<(Program, Figure)> {
        let figures = self.cases.get(case.name);
        let of = |program: Program| Some((program, *figures?.get(program.name)?));
        PROGRAMS.into_iter().filter_map(of).collect()
    }

    /// The cost of one program in a case.
    pub(super) fn cost(&self, case: &Case, name: &str) -> Option<f64> {
        self.cases.get(case.name)?.get(name).map(|figure| figure.cost)
    }

    /// Whether our programs lost nothing.
    pub(super) fn is_clean(&self) -> bool {
        let mut ours = self.cases.values().flatten().filter(|(name, _)| name.starts_with("ours"));
        ours.all(|(_, figure)| figure.wrong == 0)
    }

    /// A sentence on the machine and the rounds.
    fn origin(&self) -> String {
        let rounds = if self.rounds == 1 { "One round" } else { "Medians of {} rounds" };
        format!("{}. {}.", self.run, rounds.replace("{}", &self.rounds.to_string()))
    }

    /// All tables.
    pub(super) fn markdown(&self) -> String {
        let all: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
        let servers = |case: &Case| matches!(case.kind, Kind::Load(_));
        let clients = |case: &Case| matches!(case.kind, Kind::Client(..));
        let floods = |case: &Case| matches!(case.kind, Kind::Flood(_));
        let codecs = |case: &Case| matches!(case.kind, Kind::Codec(_));
        let mut text = self.origin() + "\n";
        for (title, select, figure) in [
            ("Cost", &servers as &dyn Fn(&Case) -> bool, false),
            ("Latency in µs, p50 / p99", &servers, true),
            ("Codecs", &codecs, false),
            ("Clients", &clients, false),
            ("Fairness", &floods, false),
        ] {
            let table = self.table(&all, select, figure);
            if !table.is_empty() {
                let _ = write!(text, "\n### {title}\n\n{table}");
            }
        }
        text
    }

    /// A table of the selected cases. Programs without any figure have no column.
    fn table(&self, names: &[&str], select: &dyn Fn(&Case) -> bool, latency: bool) -> String {
        let cases: Vec<_> = CASES
            .iter()
            .filter(|case| select(case) && self.cases.contains_key(case.name))
            .filter(|case| !latency || self.figures(case).iter().any(|(_, it)| it.p99 > 0.0))
            .collect();
        let has_figures = |program: &Program| {
            names.contains(&program.name)
                && cases.iter().any(|case| self.cost(case, program.name).is_some())
        };
        let programs: Vec<_> = PROGRAMS.into_iter().filter(has_figures).collect();
        if programs.is_empty() {
            return String::new();
        }
        let mut head = vec!["case".to_owned()];
        head.extend(programs.iter().map(|program| program.title.to_owned()));
        let has_floor = programs.iter().any(|program| program.role == Role::Floor);
        if !latency {
            head.push("ratio to the best peer".to_owned());
        }
        if !latency && has_floor {
            head.push("ratio to the floor".to_owned());
        }
        let mut text = row(&head) + &row(&vec!["---".to_owned(); head.len()]);
        let mut wrong_ones = Vec::new();
        for case in cases {
            let mut cells = vec![format!("{}, {}", case.title, case.unit)];
            if latency {
                cells = vec![case.title.to_owned()];
            }
            let figures = self.figures(case);
            for program in &programs {
                let figure = figures.iter().find(|(other, _)| other == program);
                cells.push(match figure {
                    None => "–".to_owned(),
                    Some((_, it)) if latency => {
                        format!("{} / {}", rounded(it.p50), rounded(it.p99))
                    }
                    Some((_, it)) if it.wrong > 0 => {
                        let wrong = (case.title, program.title, it.wrong);
                        wrong_ones.push(wrong);
                        format!("{} †", rounded(it.cost))
                    }
                    Some((_, it)) => rounded(it.cost),
                });
            }
            let least = |role| {
                let costs = figures.iter().filter(|(program, _)| program.role == role);
                costs.map(|(_, figure)| figure.cost).min_by(f64::total_cmp)
            };
            if !latency {
                cells.push(self.ratios(case, least(Role::Peer)));
            }
            if !latency && has_floor {
                // Typed handlers parse JSON, so their floor does too.
                let floor = self.cost(case, "floor-json").or(least(Role::Floor));
                cells.push(self.ratios(case, floor));
            }
            text += &row(&cells);
        }
        if !wrong_ones.is_empty() {
            let list = wrong_ones
                .iter()
                .map(|(case, program, wrong)| format!("{wrong} messages of {program} ({case})"));
            let list: Vec<_> = list.collect();
            let _ = writeln!(text, "\n† Lost or out of order: {}.", list.join("; "));
        }
        text
    }

    /// Our cost divided by another one: by default, and tuned.
    fn ratios(&self, case: &Case, other: Option<f64>) -> String {
        let Some(other) = other.filter(|other| *other > 0.0) else { return "–".to_owned() };
        let ours = ["ours", "ours-tuned"].into_iter().filter_map(|name| self.cost(case, name));
        ours.map(|cost| format!("{:.2}", cost / other)).collect::<Vec<_>>().join(" / ")
    }

    /// Writes the tables and the chart into the documents. Cases that were not measured this time
    /// keep the figures of the run before.
    pub(super) fn write(self, root: &Path) -> Result<(), String> {
        let json = root.join(JSON);
        let mut all = self;
        if json.exists() {
            let mut before = Self::load(&json)?;
            before.cases.append(&mut all.cases);
            all.cases = before.cases;
        }
        all.save(&json)?;
        write(&root.join(CHART), &chart::bars(&all))?;
        let servers = |case: &Case| matches!(case.kind, Kind::Load(_));
        let codecs = |case: &Case| matches!(case.kind, Kind::Codec(_));
        let others = |case: &Case| matches!(case.kind, Kind::Client(..));
        let with_json = [&IN_README[..], &["floor-json"]].concat();
        let readme = format!(
            "![CPU time per message of the servers, relative to Node's]({CHART})\n\n{}\n\n{}\n{}\n{}",
            all.origin(),
            all.table(&IN_README, &servers, false),
            all.table(&with_json, &codecs, false),
            all.table(&IN_README, &others, false),
        );
        fill(&root.join(README), "table", &readme)?;
        let chart =
            "![CPU time per message of the servers, relative to Node's](performance/cpu.svg)";
        fill(&root.join(GUIDE), "table", &format!("{chart}\n\n{}", all.markdown()))
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Three significant digits.
pub(super) fn rounded(number: f64) -> String {
    match number {
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Replaces the text between two marks of a document.
pub(super) fn fill(path: &Path, mark: &str, text: &str) -> Result<(), String> {
    let document =
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let filled = filled(&document, mark, text)
        .ok_or_else(|| format!("{}: the marks `bench {mark}` are missing", path.display()))?;
    write(path, &filled)
}

fn filled(document: &str, mark: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("one day, one machine".to_owned(), 3);
        let of = |cost| Figure { cost, p50: 10.0, p99: 20.0, wrong: 0 };
        let figures = [
            ("ours", 2.0),
            ("ours-tuned", 1.5),
            ("node", 10.0),
            ("socketioxide", 4.0),
            ("floor", 0.5),
            ("floor-json", 1.0),
        ];
        let figures = figures.map(|(name, cost)| (name.to_owned(), of(cost)));
        report.add(&CASES[1], figures.into());
        report
    }

    #[test]
    fn the_table_compares_with_the_best_peer_and_the_floor_with_json() {
        let text = report().markdown();
        let row = "| echo, 16 in flight, µs | 2.00 | 1.50 | 4.00 | 10.0 | 0.50 | 1.00 | 0.50 / 0.38 | 2.00 / 1.50 |";
        assert!(text.contains(row), "{text}");
        assert!(!text.contains("python"), "{text}");
        assert!(text.contains("| echo, 16 in flight | 10.0 / 20.0 |"), "{text}");
    }

    #[test]
    fn the_table_names_messages_that_our_server_lost() {
        let mut report = report();
        assert!(report.is_clean());
        let figure = Figure { cost: 2.0, wrong: 3, ..Figure::default() };
        let line = report.add(&CASES[0], [("ours".to_owned(), figure)].into());
        assert!(line.contains("3 WRONG"), "{line}");
        let text = report.markdown();
        assert!(text.contains("| 2.00 † |"), "{text}");
        assert!(
            text.contains("† Lost or out of order: 3 messages of this project (echo, 1"),
            "{text}"
        );
        assert!(!report.is_clean());
    }

    #[test]
    fn a_document_keeps_the_text_outside_of_the_marks() {
        let document = "before\n<!-- bench table -->\nold\n<!-- end of table -->\nafter\n";
        let new = filled(document, "table", "new\n").unwrap();
        assert_eq!(new, "before\n<!-- bench table -->\n\nnew\n\n<!-- end of table -->\nafter\n");
        assert_eq!(filled(&new, "table", "new").as_ref(), Some(&new));
        assert!(filled("no marks", "table", "new").is_none());
    }
}
