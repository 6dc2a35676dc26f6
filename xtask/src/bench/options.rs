//! The arguments of `cargo xtask bench`.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::cases::{CASES, Case, OPTIONAL, PROGRAMS, Program};

pub(super) struct Options {
    pub(super) rounds: usize,
    /// One round, with a thousand idle connections instead of 10 000.
    pub(super) quick: bool,
    pub(super) cases: Vec<&'static Case>,
    pub(super) programs: Vec<Program>,
    /// Whether the documents are written.
    pub(super) write: bool,
    /// Figures of an earlier run, which are reported again.
    pub(super) from: Option<PathBuf>,
    /// The largest number of clients of `million`.
    pub(super) clients: usize,
}

impl Options {
    pub(super) fn read(args: &[String]) -> Result<Self, String> {
        Self::parse(args).map_err(|error| error.to_string())
    }

    fn parse(args: &[String]) -> Result<Self, lexopt::Error> {
        let mut options = Self {
            rounds: 3,
            quick: false,
            cases: CASES.iter().collect(),
            programs: PROGRAMS.into_iter().filter(|program| program.name != OPTIONAL).collect(),
            write: false,
            from: None,
            clients: 1_000_000,
        };
        let mut parser = Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("rounds") => {
                    options.rounds = parser.value()?.parse()?;
                    if options.rounds == 0 {
                        return Err("--rounds takes a number of at least 1".into());
                    }
                }
                Arg::Long("quick") => (options.quick, options.rounds) = (true, 1),
                Arg::Long("cases") => {
                    let all: Vec<_> = CASES.iter().map(|case| (case.name, case)).collect();
                    options.cases = select("case", &parser.value()?.string()?, &all)?;
                }
                Arg::Long("servers") => {
                    let all = PROGRAMS.map(|program| (program.name, program));
                    options.programs = select("server", &parser.value()?.string()?, &all)?;
                }
                Arg::Long("clients") => options.clients = parser.value()?.parse()?,
                Arg::Long("write") => options.write = true,
                Arg::Long("from") => options.from = Some(parser.value()?.into()),
                arg => return Err(arg.unexpected()),
            }
        }
        Ok(options)
    }
}

/// The values that a list with commas names.
pub(crate) fn select<T: Copy>(
    what: &str,
    list: &str,
    all: &[(&'static str, T)],
) -> Result<Vec<T>, lexopt::Error> {
    let find = |wanted: &str| {
        let found = all.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            format!("unknown {what} `{wanted}`; there are: {}", names.join(" ")).into()
        })
    };
    list.split(',').map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        Options::read(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_error_for_an_unknown_case_names_it() {
        let error = read(&["--cases", "echo1,nonsense"]).err().unwrap();
        assert!(error.contains("`nonsense`") && error.contains("echo16"), "{error}");
        assert!(read(&["--rounds", "0"]).is_err());
        assert!(read(&["--nonsense"]).is_err());
    }

    #[test]
    fn cases_servers_and_rounds_are_selected() {
        let options = read(&["--quick", "--cases", "echo1,ack16", "--servers=ours,node"]).unwrap();
        let names: Vec<_> = options.cases.iter().map(|case| case.name).collect();
        assert_eq!(names, ["echo1", "ack16"]);
        let names: Vec<_> = options.programs.iter().map(|program| program.name).collect();
        assert_eq!(names, ["ours", "node"]);
        assert_eq!((options.quick, options.rounds), (true, 1));
    }

    #[test]
    fn each_case_names_programs_that_exist() {
        for case in &CASES {
            let known = PROGRAMS.into_iter().filter(|program| case.measures(*program)).count();
            assert_eq!(known, case.programs.split(' ').count(), "{}", case.name);
        }
    }
}
