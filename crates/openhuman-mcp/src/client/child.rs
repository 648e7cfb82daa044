//! A server that is a child process.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

use super::ClientOptions;
use super::config::ChildStart;
use super::guard::Guarded;

/// How much of what a child wrote to its standard error is kept, in bytes.
const LAST_WORDS: usize = 2_048;

/// How long to wait for the end of it.
const LISTENING: std::time::Duration = std::time::Duration::from_millis(300);

/// What a child gets of this process's environment, beside what its configuration names: enough to run, no secrets.
const INHERITED: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMFILES",
    "PROGRAMDATA",
    "HOMEDRIVE",
];

/// A running child. Dropping it kills it, with what it started where the system has process groups.
pub(super) struct Child {
    child: tokio::process::Child,
    words: Arc<Mutex<VecDeque<u8>>>,
    reading: Option<AbortOnDropHandle<()>>,
}

/// Its standard streams.
pub(super) struct Streams {
    pub(super) output: Guarded<ChildStdout>,
    pub(super) input: ChildStdin,
}

impl Child {
    pub(super) fn start(start: &ChildStart, options: &ClientOptions) -> Result<(Self, Streams), String> {
        let mut command = Command::new(&start.command);
        command
            .args(&start.args)
            .env_clear()
            .envs(
                INHERITED
                    .iter()
                    .filter_map(|name| Some((*name, std::env::var_os(name)?))),
            )
            .envs(&start.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &start.cwd {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| format!("'{}' cannot be started: {error}", start.command))?;
        let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
            return Err("it has no standard streams".into());
        };
        let words = Arc::new(Mutex::new(VecDeque::new()));
        let reading = child
            .stderr
            .take()
            .map(|errors| AbortOnDropHandle::new(tokio::spawn(remember(errors, Arc::clone(&words)))));
        let output = Guarded::new(output, options.messages_per_second);
        Ok((
            Self {
                child,
                words,
                reading,
            },
            Streams { output, input },
        ))
    }

    /// The end of what it wrote to its standard error, in one line. One that has just ended may not have been read yet.
    pub(super) async fn last_words(&mut self) -> String {
        if let Some(reading) = &mut self.reading {
            let _still_runs = tokio::time::timeout(LISTENING, reading).await;
        }
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = words.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Reads everything, so that the child never waits, and keeps the end.
async fn remember(errors: ChildStderr, words: Arc<Mutex<VecDeque<u8>>>) {
    let mut errors = BufReader::new(errors);
    let mut chunk = [0_u8; 1_024];
    while let Ok(length @ 1..) = errors.read(&mut chunk).await {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend(&chunk[..length]);
        let excess = words.len().saturating_sub(LAST_WORDS);
        words.drain(..excess);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // An id is there as long as the child was not waited for, so it cannot be another's.
        #[cfg(unix)]
        if let Some(group) = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            let _gone_already = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _gone_already = self.child.start_kill();
    }
}
