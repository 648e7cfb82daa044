//! Project commands: `cargo xtask test`, `cargo xtask desktop build|test`, `cargo xtask bench demo`.
//!
//! Each command starts other programs and says which one failed. What to start is a table ([`plan`]); how to start
//! it, with a time limit, is in [`process`]; the rest are checks.

#![forbid(unsafe_code)]

mod bench;
mod checks;
mod desktop;
mod packages;
mod plan;
mod process;
mod step;
mod workspace;

use std::fmt;
use std::process::ExitCode;

use crate::workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test                 install what the tests need (Debian packages when it may), then run everything
  test --only NAME     run one step of `test`
  test --list          print the steps of `test` without running them
  desktop build        build the window's front end, the command line program and the desktop app
  desktop test         the same, then drive the real window (Linux)
  bench demo [--json]  build in release mode and measure the demo, the core and the command line";

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
    let outcome = match arguments.as_slice() {
        ["test"] => Workspace::find().and_then(|workspace| step::run_all(&plan::test(&workspace))),
        ["test", "--list"] => Workspace::find().map(|workspace| step::print_all(&plan::test(&workspace))),
        ["test", "--only", name] => {
            Workspace::find().and_then(|workspace| step::run_all(&step::only(plan::test(&workspace), name)?))
        }
        ["desktop", "build"] => {
            Workspace::find().and_then(|workspace| step::run_all(&desktop::build(&workspace)))
        }
        ["desktop", "test"] => {
            Workspace::find().and_then(|workspace| step::run_all(&desktop::test(&workspace)))
        }
        ["bench", "demo"] => {
            Workspace::find().and_then(|workspace| bench::demo(&workspace, bench::Output::Text))
        }
        ["bench", "demo", "--json"] => {
            Workspace::find().and_then(|workspace| bench::demo(&workspace, bench::Output::Json))
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("unknown command: {:?}\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
