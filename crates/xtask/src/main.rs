//! Project commands: `cargo xtask test`, `cargo xtask desktop build|test`, `cargo xtask bench AREA`,
//! `cargo xtask torture AREA`.
//!
//! Each command starts other programs and says which one failed. What to start is a table ([`plan`]); how to start
//! it, with a time limit, is in [`process`]; the rest are checks.

#![forbid(unsafe_code)]

mod bench;
mod checks;
mod desktop;
mod memory;
mod packages;
mod plan;
mod process;
mod skills;
mod socketio;
mod step;
mod storage;
mod tools;
mod torture;
mod workspace;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test                   install what the tests need (Debian packages when it may), then run everything
  test --only NAME       run one step of `test`
  test --list            print the steps of `test` without running them
  desktop build          build the window's front end, the command line program and the desktop app
  desktop test           the same, then drive the real window (Linux)
  bench AREA [--json]    build in release mode and measure:
          demo           the demo, the core and the command line
          skills         the skills engine, beside node's worker threads
          socketio       the Socket.IO client, beside rust_socketio and the official one
          storage        sealed databases and the vault, beside plain SQLite and SQLCipher
          tools          the hub and its MCP servers, beside the official TypeScript SDK
          memory         the memory; with `--locomo FILE` or LOCOMO_FILE also retrieval
  torture AREA           the long versions of the proofs of skills, socketio, storage, memory or tools: hours
  torture AREA --list    print its steps
  torture AREA --only NAME  run one of them";

/// What went wrong, with what, and what to do next, as one text for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure(String);

impl Failure {
    fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if matches!(arguments.as_slice(), ["help" | "--help" | "-h"]) {
        say(USAGE);
        return ExitCode::SUCCESS;
    }
    let Some(job) = job(&arguments) else {
        eprintln!("unknown command: {:?}\n\n{USAGE}", arguments.join(" "));
        return ExitCode::from(2);
    };
    match Workspace::find().and_then(|workspace| job(&workspace)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What a command does in a workspace.
type Job<'a> = Box<dyn Fn(&Workspace) -> Result<(), Failure> + 'a>;

/// The job that the arguments ask for, or nothing when they are not understood.
fn job<'a>(arguments: &[&'a str]) -> Option<Job<'a>> {
    Some(match *arguments {
        ["test"] => Box::new(|workspace| step::run_all(&plan::test(workspace))),
        ["test", "--list"] => Box::new(|workspace| {
            say(&step::listing(&plan::test(workspace)));
            Ok(())
        }),
        ["test", "--only", name] => {
            Box::new(move |workspace| step::run_all(&step::only(plan::test(workspace), name)?))
        }
        ["desktop", "build"] => Box::new(|workspace| step::run_all(&desktop::build(workspace))),
        ["desktop", "test"] => Box::new(|workspace| step::run_all(&desktop::test(workspace))),
        ["bench", "memory", ref rest @ ..] => {
            let (output, rest) = output(rest);
            let locomo = match *rest {
                [] => None,
                ["--locomo", file] => Some(file),
                _ => return None,
            };
            Box::new(move |workspace| memory::bench(workspace, output, locomo))
        }
        ["bench", area, ref rest @ ..] => {
            let bench = match area {
                "demo" => bench::demo,
                "skills" => skills::bench,
                "socketio" => socketio::bench,
                "storage" => storage::bench,
                "tools" => tools::bench,
                _ => return None,
            };
            let (output, []) = output(rest) else { return None };
            Box::new(move |workspace| bench(workspace, output))
        }
        ["torture", area, ref rest @ ..] => {
            let steps = match area {
                "skills" => torture::skills,
                "socketio" => socketio::torture,
                "storage" => storage::torture,
                "tools" => tools::torture,
                "memory" => memory::torture,
                _ => return None,
            };
            match *rest {
                [] => Box::new(move |workspace| step::run_all(&steps(workspace))),
                ["--list"] => Box::new(move |workspace| {
                    say(&step::listing(&steps(workspace)));
                    Ok(())
                }),
                ["--only", name] => {
                    Box::new(move |workspace| step::run_all(&step::only(steps(workspace), name)?))
                }
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// How a bench prints, and the arguments after that.
fn output<'r, 'a>(rest: &'r [&'a str]) -> (bench::Output, &'r [&'a str]) {
    match rest {
        ["--json", rest @ ..] => (bench::Output::Json, rest),
        rest => (bench::Output::Text, rest),
    }
}

/// Prints a text for people. A reader that has gone away, as `head` does, is no failure.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_usage_is_understood() {
        // The lines with more space name areas.
        let commands: Vec<&str> = USAGE.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(commands.len() > 5);
        for line in commands.iter().filter(|line| !line.starts_with(' ')) {
            let command = line.split("  ").next().unwrap_or_default();
            let command = command.replace(['[', ']'], "");
            for area in ["skills", "socketio", "storage", "memory"] {
                let command = command.replace("AREA", area);
                let words: Vec<&str> = command.split_whitespace().collect();
                assert!(job(&words).is_some(), "{command}");
            }
        }
        for unknown in [
            &[][..],
            &["tset"],
            &["test", "--only"],
            &["bench"],
            &["bench", "AREA"],
            &["torture", "demo"],
            &["torture", "skills", "--only"],
            &["desktop", "build", "now"],
        ] {
            assert!(job(unknown).is_none(), "{unknown:?}");
        }
    }
}
