//! A temporary home and a way to run the command in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a password for tests";

/// The program under test.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_openhuman"))
}

/// A home of its own for one test.
pub(crate) struct Sandbox {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn env(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }

    /// Writes a file below the sandbox and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A skill package in the directory `skills` of the sandbox.
    pub(crate) fn skill(&self, id: &str, code: &str) -> PathBuf {
        let manifest = format!(
            r#"{{ "id": "{id}", "name": "The {id} skill", "version": "1.0.0", "auto_start": true }}"#
        );
        self.file(&format!("skills/{id}/manifest.json"), &manifest);
        self.file(&format!("skills/{id}/index.js"), code);
        self.dir.path().join("skills")
    }

    /// A command in this home, without the user's own settings and without a terminal.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        // A session of its own has no controlling terminal, so that nothing can be asked there.
        let mut command = if cfg!(unix) {
            let mut command = Command::new("setsid");
            command.arg("--wait").arg(program());
            command
        } else {
            Command::new(program())
        };
        command.args(args).env("OPENHUMAN_HOME", self.home());
        for name in [
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "OPENAI_MODEL",
            "OPENHUMAN_SKILLS_DIR",
            "OPENHUMAN_WORKSPACE",
            "SKILLS_LOCAL_DIR",
            "DBUS_SESSION_BUS_ADDRESS",
        ] {
            command.env_remove(name);
        }
        command.envs(
            self.env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        command
    }

    /// Runs a command to its end; the password goes through standard input.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(PASSWORD, args)
    }

    pub(crate) fn run_with(&self, password: &str, args: &[&str]) -> Ended {
        let mut args = args.to_vec();
        args.extend(["--password-fd", "0"]);
        end(&mut self.command(&args), &format!("{password}\n"))
    }
}

/// Runs a command with this standard input.
pub(crate) fn end(command: &mut Command, stdin: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // A command that does not read its input has closed it already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    Ended::from(child.wait_with_output().unwrap())
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Asserts success and returns standard output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Asserts an exit code and that standard error has every one of these texts.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        for text in texts {
            assert!(self.stderr.contains(text), "'{text}' is not in: {}", self.stderr);
        }
    }
}
