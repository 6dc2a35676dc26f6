//! Child processes that never outlive this tool.
//!
//! Each child leads its own process group. Processes that it starts in turn (test servers,
//! browsers) are stopped with it: when it ends, when a step fails, and on Ctrl-C or SIGTERM.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a process group may take to exit after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

static LIVE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Makes Ctrl-C, SIGTERM and SIGHUP stop all children before this tool exits.
pub(crate) fn stop_children_on_signals() -> Result<(), String> {
    ctrlc::set_handler(|| {
        // The lock is held until the exit, so that no other thread can start a child or reap one.
        let groups = live();
        for group in groups.iter() {
            signal("TERM", *group);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && groups.iter().any(|group| signal("0", *group)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        for group in groups.iter() {
            signal("KILL", *group);
        }
        std::process::exit(130);
    })
    .map_err(|error| format!("cannot listen for Ctrl-C: {error}"))
}

/// Runs a command to its end. Its output goes to the output of this tool.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus, String> {
    Group::spawn(command)?.wait()
}

/// Runs a command to its end. Fails if the command does.
pub(crate) fn run_ok(command: &mut Command) -> Result<(), String> {
    let status = run(command)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` failed ({status})", command_line(command)))
    }
}

/// Runs a command to its end and passes each line of its standard output to `on_line`.
pub(crate) fn run_lines(
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus, String> {
    let mut group = Group::spawn(command.stdout(Stdio::piped()))?;
    group.read_lines(&mut on_line);
    group.wait()
}

/// Like [`run_lines`], but kills a command that takes longer than `limit`. Its status is then `None`.
pub(crate) fn run_lines_within(
    command: &mut Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<Option<ExitStatus>, String> {
    let mut group = Group::spawn(command.stdout(Stdio::piped()))?;
    let id = group.child.id();
    let (ended, ending) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let late = ending.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            signal("KILL", id);
        }
        late
    });
    // Ends when no process of the group has the output open.
    group.read_lines(&mut on_line);
    drop(ended);
    let late = watchdog.join().map_err(|_| "the watchdog panicked".to_owned())?;
    let status = group.wait()?;
    Ok((!late).then_some(status))
}

/// The standard output of a command. Fails if the command does.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "`{}` failed ({}): {}",
            command_line(command),
            output.status,
            stderr.trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name can be started.
pub(crate) fn exists(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A server in the background. It stops when this value is dropped.
pub(crate) struct Background(Group);

impl Background {
    /// Starts a server that does not print when it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Result<Background, String> {
        Group::spawn(command).map(Background)
    }

    /// Starts a server and waits until it prints a line that contains `ready`.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Result<Background, String> {
        let mut group = Group::spawn(command.stdout(Stdio::piped()))?;
        let stdout = group.child.stdout.take();
        let mut lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
        if lines.any(|line| line.is_ok_and(|line| line.contains(ready))) {
            return Ok(Background(group));
        }
        Err(format!("`{}` ended before it was ready", command_line(command)))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.child.id()
    }
}

/// A port on which no process listens. It lies below the range from which systems take the ports of
/// outgoing connections.
pub(crate) fn free_port() -> Result<u16, String> {
    let ports =
        (0..10_000).map(|n| 10_000 + (std::process::id().wrapping_mul(7).wrapping_add(n)) % 10_000);
    ports
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| "there is no free port".to_owned())
}

/// A child and all processes that it starts.
struct Group {
    child: Child,
}

impl Group {
    fn spawn(command: &mut Command) -> Result<Group, String> {
        // The child's group is not the terminal's foreground group. Reading from the terminal would
        // stop it.
        command.stdin(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // The lock is held during the spawn, so that a signal cannot arrive before the child is
        // registered.
        let mut live = live();
        let child = command.spawn().map_err(|error| not_started(command, &error))?;
        live.push(child.id());
        Ok(Group { child })
    }

    fn read_lines(&mut self, on_line: &mut dyn FnMut(&str)) {
        let stdout = self.child.stdout.take();
        for line in stdout.into_iter().flat_map(|it| BufReader::new(it).split(b'\n')) {
            let Ok(line) = line else { return };
            on_line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
        }
    }

    fn wait(&mut self) -> Result<ExitStatus, String> {
        self.child.wait().map_err(|error| format!("lost a child process: {error}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.child.id();
        // Kills the processes that the child left behind. Usually there are none.
        signal("KILL", id);
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        live().retain(|other| *other != id);
    }
}

fn live() -> MutexGuard<'static, Vec<u32>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a signal to a process group. Returns false if the group is gone. `kill` is a builtin of
/// `sh`, so this needs neither `unsafe` nor procps.
fn signal(name: &str, group: u32) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("kill -s {name} -- -{group}")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", command.get_program().to_string_lossy())
}

/// The command as typed in a shell.
fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn run_lines_returns_the_lines_and_the_exit_status() {
        let mut lines = Vec::new();
        let status =
            run_lines(&mut sh("echo one; echo two; exit 3"), |line| lines.push(line.to_owned()))
                .unwrap();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn processes_that_a_child_leaves_behind_are_stopped() {
        let mut grandchild = String::new();
        run_lines(&mut sh("sleep 600 >/dev/null & echo $!"), |line| {
            line.clone_into(&mut grandchild)
        })
        .unwrap();
        // A killed process ends once it runs again. It keeps its id until it is reaped, so only its
        // state shows that it has ended.
        let state = || output(&mut sh(&format!("ps -o stat= -p {grandchild} || true"))).unwrap();
        let ended = |state: &str| state.trim().is_empty() || state.trim().starts_with('Z');
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ended(&state()) {
            assert!(Instant::now() < deadline, "still running: {}", state());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_stopped() {
        let mut hanging = sh("sleep 600 & wait");
        assert_eq!(run_lines_within(&mut hanging, Duration::from_millis(100), |_| {}), Ok(None));
        let ended = run_lines_within(&mut sh("exit 3"), Duration::from_secs(600), |_| {}).unwrap();
        assert_eq!(ended.and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn the_error_for_a_missing_program_names_it() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.contains("no-such-program-here"), "{error}");
    }
}
