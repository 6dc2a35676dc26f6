//! A process and its folder, supervised by a shell that removes both when this process ends.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::program::Error;

/// The shell script. Its standard input ends when the test process ends, for whatever reason.
///
/// PostgreSQL's processes leave the process group of their parent, so the script finds children by
/// their parent. It stops the parent first, so that the parent cannot start more children. It waits
/// until all are gone, because PostgreSQL does not start while a former process has shared memory.
const WATCH: &str = r#"
folder=$1; shift
child=
all() { cat "/proc/$child/task/$child/children" 2>/dev/null; echo "$child"; }
end() {
  [ -n "$child" ] || return 0
  kill -s STOP "$child" 2>/dev/null
  killed=$(all)
  kill -s KILL $killed 2>/dev/null
  wait "$child" 2>/dev/null
  for process in $killed; do
    while grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$process/status"; do sleep 0.01; done
  done
  child=
}
while read -r word; do
  case $word in
    start) end; setsid "$@" </dev/null >>"$folder/log" 2>&1 & child=$! ;;
    kill) end ;;
    pause) kill -s STOP "$child"; kill -s STOP $(all) ;;
    resume) kill -s CONT $(all) ;;
  esac
  echo done
done
end
rm -rf -- "$folder"
"#;

/// The process of an engine, which is not started yet, and its folder.
pub(crate) struct Watched {
    folder: PathBuf,
    shell: Mutex<Shell>,
}

struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Watched {
    /// Starts the shell that supervises `folder`. The shell starts the program on the command
    /// `start`.
    pub(crate) fn new(folder: PathBuf, command: &Command) -> Result<Watched, Error> {
        let failed = |error| Error(format!("cannot start `sh`: {error}"));
        let mut shell = Command::new("sh");
        // A signal to the group of the test process must not reach the shell, which still has to
        // clean up.
        shell.process_group(0).args(["-c", WATCH, "watch"]).arg(&folder);
        shell.arg(command.get_program()).args(command.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| Error("`sh` has no output".to_owned()))?;
        let shell = Mutex::new(Shell { child, stdin, stdout: BufReader::new(stdout) });
        Ok(Watched { folder, shell })
    }

    /// Sends a command to the shell and waits until it is done.
    pub(crate) fn command(&self, command: &str) -> Result<(), Error> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let exited = |_| Error("the shell that supervises the engine has exited".to_owned());
        if let Some(stdin) = &mut shell.stdin {
            writeln!(stdin, "{command}").map_err(exited)?;
        }
        shell.stdout.read_line(&mut String::new()).map(drop).map_err(exited)
    }

    /// The engine's output.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The last 20 lines of the engine's output.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        let _ = shell.child.wait();
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Creates an empty folder. The engine's shell removes it.
pub(crate) fn scratch(name: &str) -> Result<PathBuf, Error> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let folder =
        std::env::temp_dir().join(format!("engine-{name}-{}-{number}", std::process::id()));
    let failed = |error| Error(format!("{}: {error}", folder.display()));
    // Left over from a process with the same id that ended when the machine was switched off.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    File::create(folder.join("log")).map_err(failed)?;
    Ok(folder)
}
