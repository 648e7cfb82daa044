//! Starting programs, with a time limit that ends the whole process tree.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::Failure;

/// One program call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    program: String,
    arguments: Vec<String>,
    root: PathBuf,
    /// Relative to the root; empty for the root itself.
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Invocation {
    /// A call that starts in `root`.
    pub(crate) fn new<A: Into<String>>(
        root: &Path,
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Invocation {
        Invocation {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            root: root.to_path_buf(),
            folder: PathBuf::new(),
            environment: Vec::new(),
        }
    }

    /// The same call in a folder below the root.
    pub(crate) fn within(mut self, folder: &Path) -> Invocation {
        self.folder = folder.to_path_buf();
        self
    }

    pub(crate) fn with_environment(mut self, name: &'static str, value: impl Into<String>) -> Invocation {
        self.environment.push((name, value.into()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(on_this_system(&self.program));
        command
            .args(&self.arguments)
            .current_dir(self.root.join(&self.folder));
        // `cargo run` describes this package to its child. Build scripts of other packages would see that as a change
        // and compile everything again.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_set_by_cargo_run) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program with this terminal. An exit code other than 0 and a missing program are failures.
    pub(crate) fn run(&self, limit: Duration) -> Result<(), Failure> {
        let child = self
            .command()
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        self.finish(child, limit)
    }

    /// Runs the program and returns its standard output. Its errors go to this terminal.
    pub(crate) fn read(&self, limit: Duration) -> Result<String, Failure> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let output = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            output
                .map_or(Ok(0), |mut output| output.read_to_string(&mut text))
                .map(|_| text)
        });
        self.finish(child, limit)?;
        match reader.join() {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(Failure::new(format!(
                "cannot read the output of `{self}`: {error}"
            ))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Starts a server that prints its address in one line and ends when its input does.
    pub(crate) fn serve(&self) -> Result<Server, Failure> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let mut address = String::new();
        let read = match child.stdout.take() {
            Some(output) => BufReader::new(output).read_line(&mut address),
            None => Ok(0),
        };
        let server = Server {
            child,
            address: address.trim().to_owned(),
        };
        match read {
            Ok(1..) => Ok(server),
            _ => Err(Failure::new(format!("`{self}` did not print its address"))),
        }
    }

    fn finish(&self, child: Child, limit: Duration) -> Result<(), Failure> {
        match wait(child, limit) {
            Some(Ok(status)) if status.success() => Ok(()),
            Some(Ok(status)) => Err(Failure::new(format!("`{self}` ended with {}", describe(status)))),
            Some(Err(error)) => Err(Failure::new(format!("`{self}` could not be awaited: {error}"))),
            None => Err(Failure::new(format!(
                "`{self}` was stopped after its limit of {} s",
                limit.as_secs()
            ))),
        }
    }

    /// Whether the program exists and succeeds, without any output.
    pub(crate) fn succeeds(&self) -> bool {
        self.command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!(
            "cannot start `{self}`: {error}; is `{}` installed?",
            self.program
        ))
    }
}

/// A running server; it is ended with this.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As one would type it in a shell. Text without special characters only, which holds for all our calls.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.folder.as_os_str().is_empty() {
            write!(f, "cd {} && ", self.folder.display())?;
        }
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", quoted(&self.program))?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '$', '"', '*', '&', ';', '|']) {
        format!("'{word}'")
    } else {
        word.to_string()
    }
}

/// The npm programs are scripts, and Windows starts scripts by their full name only.
fn on_this_system(program: &str) -> String {
    if cfg!(windows) && matches!(program, "npm" | "npx") {
        format!("{program}.cmd")
    } else {
        program.to_string()
    }
}

fn is_set_by_cargo_run(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE"
        )
}

fn describe(status: ExitStatus) -> String {
    status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

/// The child's end, or nothing when it had to be ended after `limit`.
fn wait(mut child: Child, limit: Duration) -> Option<std::io::Result<ExitStatus>> {
    let id = child.id();
    let (send, receive) = channel();
    let waiter = thread::spawn(move || send.send(child.wait()));
    match receive.recv_timeout(limit) {
        Ok(result) => Some(result),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            end_tree(id);
            let _ = waiter.join();
            None
        }
    }
}

/// Ends a process and everything it started.
fn end_tree(id: u32) {
    let mut command = if cfg!(windows) {
        let mut command = Command::new("taskkill");
        command.args(["/T", "/F", "/PID", &id.to_string()]);
        command
    } else {
        let table = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
        let table = table
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        let mut command = Command::new("kill");
        command
            .arg("-KILL")
            .args(tree(id, &table).iter().map(u32::to_string));
        command
    };
    // A process of the tree may have ended in the meantime; then there is nothing left to report.
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// `root` and its descendants, from a table with a process id and its parent's id on each line.
fn tree(root: u32, table: &str) -> BTreeSet<u32> {
    let pairs: Vec<(u32, u32)> = table
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        let children = pairs
            .iter()
            .filter(|(_, parent)| found.contains(parent))
            .map(|(id, _)| *id);
        let children: Vec<u32> = children.collect();
        found.extend(children);
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(program: &str, arguments: &[&str]) -> Invocation {
        Invocation::new(Path::new("."), program, arguments.iter().copied())
    }

    #[test]
    fn a_call_reads_like_a_shell_line() {
        let call =
            here("cargo", &["clippy", "--", "-D warnings"]).with_environment("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            call.to_string(),
            "RUSTDOCFLAGS='-D warnings' cargo clippy -- '-D warnings'"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = here("no-such-program-here", &[])
            .run(Duration::from_secs(5))
            .unwrap_err();
        assert!(
            failure.0.contains("is `no-such-program-here` installed?"),
            "{failure}"
        );
    }

    #[test]
    fn a_failing_program_is_named_with_its_exit_code() {
        let failure = here("cargo", &["no-such-command"])
            .run(Duration::from_secs(60))
            .unwrap_err();
        assert_eq!(failure.0, "`cargo no-such-command` ended with exit code 101");
    }

    #[test]
    fn output_is_returned() {
        let text = here("cargo", &["--version"])
            .read(Duration::from_secs(60))
            .unwrap();
        assert!(text.starts_with("cargo "), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_and_its_children_end_at_the_limit() {
        let started = std::time::Instant::now();
        let failure = here("sh", &["-c", "sleep 300 & wait"])
            .run(Duration::from_millis(50))
            .unwrap_err();
        assert!(failure.0.contains("was stopped after its limit"), "{failure}");
        let failure = here("sh", &["-c", "echo x; sleep 300 & wait"])
            .read(Duration::from_millis(50))
            .unwrap_err();
        assert!(failure.0.contains("was stopped after its limit"), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn the_tree_has_all_descendants_and_nothing_else() {
        let table = "  1 0\n 20 1\n 30 20\n 31 20\n 40 31\n 50 1\nnonsense\n";
        assert_eq!(tree(20, table), BTreeSet::from([20, 30, 31, 40]));
        assert_eq!(tree(99, table), BTreeSet::from([99]));
    }

    #[test]
    fn only_the_description_of_this_package_is_hidden() {
        assert!(is_set_by_cargo_run("CARGO_PKG_NAME"));
        assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
        for kept in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_INCREMENTAL",
            "CARGO_NET_OFFLINE",
            "PATH",
        ] {
            assert!(!is_set_by_cargo_run(kept), "{kept}");
        }
    }
}
